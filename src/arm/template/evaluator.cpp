#include "arm/template/evaluator.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json.hpp>

#include "arm/template/limits.h"
#include "base/text.h"

namespace berth::arm_template {
namespace {

Error atColumn(std::size_t column, Error error) {
  if (!error.message.starts_with("column ")) {
    error.message.insert(0, "column " + std::to_string(column) + ": ");
  }
  return error;
}

Error atPath(const std::string& path, const Error& error) {
  // An error inside of a parameter or variable names that place already.
  return error.details.empty() ? invalidTemplate(path, error.message) : error;
}

std::string shownCount(std::size_t least, std::size_t most) {
  if (most == kAnyNumber) return "at least " + std::to_string(least);
  if (least == most) return std::to_string(least);
  return std::to_string(least) + " to " + std::to_string(most);
}

bool isList(const std::string& lower_name) { return lower_name.starts_with("list") && lower_name.size() > 4; }

/// {name, count, input} of one entry of a "copy" list.
Result<std::int64_t> checkedCount(const json::value& count, const std::string& path) {
  const std::int64_t* number = count.if_int64();
  if (number == nullptr)
    return fail(invalidTemplate(path, "must be an integer, not " + std::string(kindOf(count))));
  if (*number < 0 || *number > kMaxCopies) {
    return fail(invalidTemplate(path, "must be from 0 to " + std::to_string(kMaxCopies)));
  }
  return *number;
}

}  // namespace

/// One level deeper for as long as it lives.
class Deeper {
 public:
  explicit Deeper(Evaluator& evaluator) : depth_(evaluator.depth_) { ++depth_; }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
  Result<void> check() const {
    if (depth_ <= kMaxDepth) return {};
    return fail(badCall("nested deeper than " + std::to_string(kMaxDepth)));
  }

 private:
  std::size_t& depth_;
};

TemplateScope::TemplateScope(std::shared_ptr<const Template> declared, const json::object& given,
                             Surroundings around, std::shared_ptr<Budget> budget)
    : declared_(std::move(declared)), around_(std::move(around)), budget_(std::move(budget)) {
  for (const json::key_value_pair& each : given) parameters_[std::string(each.key())].value = each.value();
}

Result<void> TemplateScope::settleParameters() {
  Evaluator evaluator(*this);
  for (const auto& [key, definition] : declared_->parameters()) {
    TRY(const json::value value, evaluator.parameterValue(key));
    const std::string problem = parameterProblem(definition, value);
    if (!problem.empty()) return fail(invalidTemplate(member("parameters", definition.name), problem));
  }
  return {};
}

// -------------------------------------------------------------------------------------------------- values

Result<json::value> Evaluator::evaluate(const json::value& value, const std::string& path) {
  const Deeper deeper(*this);
  if (const Result<void> checked = deeper.check(); !checked) return fail(atPath(path, checked.error()));
  if (const json::string* string = value.if_string()) return text(std::string(*string), path);
  if (const json::array* list = value.if_array()) return array(*list, path);
  if (const json::object* map = value.if_object()) return object(*map, path);
  return value;
}

Result<std::string> Evaluator::evaluateText(const json::value& value, const std::string& path) {
  TRY(const json::value made, evaluate(value, path));
  if (const json::string* string = made.if_string()) return std::string(*string);
  return fail(invalidTemplate(path, "must be a string, not " + std::string(kindOf(made))));
}

Result<json::value> Evaluator::text(const std::string& text, const std::string& path) {
  if (!isExpression(text)) return json::value(literal(text));
  const Result<Expression> expression = parseExpression(text);
  if (!expression) return fail(atPath(path, expression.error()));
  Result<json::value> value = evaluate(*expression);
  if (!value) return fail(atPath(path, value.error()));
  return value;
}

Result<json::value> Evaluator::array(const json::array& array, const std::string& path) {
  json::array made;
  for (std::size_t i = 0; i < array.size(); ++i) {
    TRY(json::value each, evaluate(array[i], element(path, i)));
    made.push_back(std::move(each));
  }
  return json::value(std::move(made));
}

Result<json::value> Evaluator::object(const json::object& object, const std::string& path) {
  json::object made;
  for (const json::key_value_pair& each : object) {
    const std::string at = member(path, each.key());
    if (equalsIgnoringCase(each.key(), "copy") && each.value().is_array()) {
      TRY_VOID(copyInto(made, each.value(), at));
      continue;
    }
    TRY(json::value value, evaluate(each.value(), at));
    if (!isExpression(each.key())) {
      made[literal(std::string_view(each.key()))] = std::move(value);
      continue;
    }
    TRY(const json::value key, text(std::string(each.key()), at));
    if (!key.is_string()) return fail(invalidTemplate(at, "a name must be a string"));
    made[key.get_string()] = std::move(value);
  }
  return json::value(std::move(made));
}

Result<void> Evaluator::copyInto(json::object& made, const json::value& loops, const std::string& path) {
  const json::array& list = loops.get_array();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string at = element(path, i);
    const json::object* loop = list[i].if_object();
    const json::value* name = loop == nullptr ? nullptr : find(*loop, "name");
    if (name == nullptr || !name->is_string()) return fail(invalidTemplate(at, "a loop has a \"name\""));
    TRY(json::value copies, copyOne(*loop, std::string(name->get_string()), at));
    made[name->get_string()] = std::move(copies);
  }
  return {};
}

Result<json::value> Evaluator::copyOne(const json::object& loop, const std::string& name,
                                       const std::string& path) {
  const json::value* count_value = find(loop, "count");
  const json::value* input = find(loop, "input");
  if (count_value == nullptr || input == nullptr) {
    return fail(invalidTemplate(path, "a loop has \"count\" and \"input\""));
  }
  TRY(const json::value counted, evaluate(*count_value, member(path, "count")));
  TRY(const std::int64_t count, checkedCount(counted, member(path, "count")));
  json::array copies;
  frames_.push_back({name, 0});
  for (std::int64_t i = 0; i < count; ++i) {
    frames_.back().index = i;
    Result<json::value> copy = evaluate(*input, member(path, "input"));
    if (!copy) {
      frames_.pop_back();
      return copy;
    }
    copies.push_back(*std::move(copy));
  }
  frames_.pop_back();
  return json::value(std::move(copies));
}

// ---------------------------------------------------------------------------------------------- expressions

Result<json::value> Evaluator::evaluate(const Expression& expression) {
  const Deeper deeper(*this);
  if (const Result<void> checked = deeper.check(); !checked) {
    return fail(atColumn(expression.column, checked.error()));
  }
  switch (expression.kind) {
    case Expression::Kind::Text:
      return json::value(expression.text);
    case Expression::Kind::Integer:
      return json::value(expression.number);
    case Expression::Kind::Call:
      return call(expression);
    case Expression::Kind::Property:
      return property(expression);
    case Expression::Kind::Index:
      return index(expression);
  }
  return json::value(nullptr);
}

Result<json::value> Evaluator::call(const Expression& call) {
  Result<json::value> value = builtIn(call);
  if (!value)
    return fail(value.error().details.empty() ? atColumn(call.column, value.error()) : value.error());
  if (const Result<void> spent = scope_.budget_->spend(sizeOf(*value)); !spent) {
    return fail(atColumn(call.column, spent.error()));
  }
  return value;
}

Result<json::value> Evaluator::builtIn(const Expression& call) {
  const std::string name = toLower(call.text);
  if (const UserFunction* function = scope_.declared_->function(name)) {
    if (place_ == Place::UserFunction) return fail(badCall("a user's function cannot call " + call.text));
    return userFunction(call, *function);
  }
  if (auto value = special(call, name)) return *std::move(value);
  if (auto value = withLambda(call, name)) return *std::move(value);
  const FunctionEntry* entry = findFunction(name);
  if (entry == nullptr) return fail(badCall("there is no function " + call.text));
  const bool changes = name == "newguid" || name == "utcnow";
  if (changes && place_ != Place::ParameterDefault) {
    return fail(badCall(call.text + " can only be used in a parameter's default"));
  }
  TRY(Arguments args, arguments(call, entry->least, entry->most));
  return entry->function(args, scope_.around_).during(call.text);
}

std::optional<Result<json::value>> Evaluator::special(const Expression& call, const std::string& name) {
  if (name == "parameters") return parameter(call);
  if (name == "variables") return variable(call);
  if (name == "copyindex") return copyIndex(call);
  if (name == "if") return choose(call);
  if (name == "and") return allOrAny(call, true);
  if (name == "or") return allOrAny(call, false);
  if (name == "coalesce") return coalesce(call);
  if (name == "lambdavariables") return lambdaVariable(call);
  if (name == "reference") return reference(call);
  if (isList(name)) return list(call);
  return std::nullopt;
}

std::optional<Result<json::value>> Evaluator::withLambda(const Expression& call, const std::string& name) {
  if (name == "map") return mapped(call);
  if (name == "filter") return filtered(call);
  if (name == "reduce") return reduced(call);
  if (name == "sort") return sorted(call);
  if (name == "toobject") return toObject(call);
  if (name == "groupby") return groupedBy(call);
  if (name == "mapvalues") return mappedValues(call);
  if (name == "lambda")
    return fail(badCall("lambda stands as an argument of map, filter and their like only"));
  return std::nullopt;
}

Result<Arguments> Evaluator::arguments(const Expression& call, std::size_t least, std::size_t most) {
  const std::size_t count = call.children.size();
  if (count < least || (most != kAnyNumber && count > most)) {
    return fail(badCall(call.text + " takes " + shownCount(least, most) + " argument" +
                        (most == 1 ? "" : "s") + ", not " + std::to_string(count)));
  }
  std::vector<json::value> values;
  for (const Expression& child : call.children) {
    TRY(json::value value, evaluate(child));
    values.push_back(std::move(value));
  }
  return Arguments(std::move(values));
}

Result<json::value> Evaluator::property(const Expression& expression) {
  TRY(const json::value from, evaluate(expression.children[0]));
  if (const json::value* value = find(from, expression.text)) return *value;
  if (expression.safe) return json::value(nullptr);
  const std::string why = from.is_object()
                              ? "there is no property " + expression.text
                              : std::string(kindOf(from)) + " has no property " + expression.text;
  return fail(atColumn(expression.column, badCall(why)));
}

Result<json::value> Evaluator::index(const Expression& expression) {
  TRY(const json::value from, evaluate(expression.children[0]));
  TRY(const json::value at, evaluate(expression.children[1]));
  if (const json::array* list = from.if_array(); list != nullptr && at.is_int64()) {
    const std::int64_t number = at.get_int64();
    if (number >= 0 && number < static_cast<std::int64_t>(list->size()))
      return (*list)[static_cast<std::size_t>(number)];
    if (expression.safe) return json::value(nullptr);
    return fail(
        atColumn(expression.column, badCall("index " + std::to_string(number) +
                                            " is outside of an array of " + std::to_string(list->size()))));
  }
  if (from.is_object() && at.is_string()) {
    if (const json::value* value = find(from, std::string_view(at.get_string()))) return *value;
    if (expression.safe) return json::value(nullptr);
    return fail(atColumn(expression.column, badCall("there is no property " + std::string(at.get_string()))));
  }
  if (expression.safe && from.is_null()) return json::value(nullptr);
  return fail(atColumn(expression.column,
                       badCall(std::string(kindOf(from)) + " has no index of " + std::string(kindOf(at)))));
}

// --------------------------------------------------------------------------------- what a template declares

Result<json::value> Evaluator::parameter(const Expression& call) {
  TRY(const Arguments args, arguments(call, 1, 1));
  TRY(const std::string name, args.text(0));
  if (place_ != Place::UserFunction) return parameterValue(toLower(name));
  const json::value* value = find(*function_arguments_, name);
  if (value == nullptr) return fail(badCall("the function has no parameter " + name));
  return *value;
}

Result<json::value> Evaluator::parameterValue(const std::string& name) {
  const ParameterDefinition* definition = scope_.declared_->parameter(name);
  if (definition == nullptr) return fail(badCall("the template has no parameter " + name));
  TemplateScope::Slot& slot = scope_.parameters_[name];
  if (slot.value) return *slot.value;
  if (definition->default_value == nullptr) return json::value(nullptr);
  if (slot.busy) return fail(badCall("the default of parameter " + definition->name + " asks for itself"));
  slot.busy = true;
  Evaluator inner(scope_);
  inner.place_ = Place::ParameterDefault;
  inner.depth_ = depth_;
  Result<json::value> value = inner.evaluate(*definition->default_value,
                                             member(member("parameters", definition->name), "defaultValue"));
  slot.busy = false;
  if (value) slot.value = *value;
  return value;
}

Result<json::value> Evaluator::variable(const Expression& call) {
  TRY(const Arguments args, arguments(call, 1, 1));
  TRY(const std::string name, args.text(0));
  if (place_ == Place::UserFunction) return fail(badCall("a user's function cannot use variables"));
  if (place_ == Place::ParameterDefault) return fail(badCall("a parameter's default cannot use variables"));
  return variableValue(name);
}

Result<json::value> Evaluator::variableValue(const std::string& name) {
  TemplateScope::Slot& slot = scope_.variables_[toLower(name)];
  if (slot.value) return *slot.value;
  if (slot.busy) return fail(badCall("variable " + name + " asks for itself"));
  const json::object* section = scope_.declared_->variables();
  const json::value* source = section == nullptr ? nullptr : find(*section, name);
  const json::object* loop = nullptr;
  const json::value* loops = section == nullptr ? nullptr : find(*section, "copy");
  if (loops != nullptr && loops->is_array()) {
    for (const json::value& each : loops->get_array()) {
      const json::value* loop_name = find(each, "name");
      if (loop_name != nullptr && loop_name->is_string() &&
          equalsIgnoringCase(loop_name->get_string(), name)) {
        loop = each.if_object();
      }
    }
    if (equalsIgnoringCase(name, "copy")) source = nullptr;
  }
  if (source == nullptr && loop == nullptr) {
    scope_.variables_.erase(toLower(name));
    return fail(badCall("the template has no variable " + name));
  }
  slot.busy = true;
  Evaluator inner(scope_, {}, runtime_);
  inner.depth_ = depth_;
  Result<json::value> value = loop != nullptr ? inner.copyOne(*loop, name, member("variables.copy", name))
                                              : inner.evaluate(*source, member("variables", name));
  TemplateScope::Slot& again = scope_.variables_[toLower(name)];
  again.busy = false;
  if (value) again.value = *value;
  return value;
}

Result<json::value> Evaluator::userFunction(const Expression& call, const UserFunction& function) {
  TRY(const Arguments args, arguments(call, function.parameters.size(), function.parameters.size()));
  json::object named;
  for (std::size_t i = 0; i < args.size(); ++i) named[function.parameters[i]] = args[i];
  Evaluator inner(scope_);
  inner.place_ = Place::UserFunction;
  inner.function_arguments_ = &named;
  inner.depth_ = depth_;
  return inner.evaluate(*function.output, member(member("functions", function.name), "output.value"));
}

Result<json::value> Evaluator::copyIndex(const Expression& call) {
  TRY(const Arguments args, arguments(call, 0, 2));
  if (frames_.empty()) return fail(badCall("copyIndex is used outside of a loop"));
  const CopyFrame* frame = &frames_.back();
  std::size_t next = 0;
  if (args.size() > 0 && args[0].is_string()) {
    const std::string_view wanted = args[0].get_string();
    const auto found = std::find_if(frames_.rbegin(), frames_.rend(), [&](const CopyFrame& each) {
      return equalsIgnoringCase(each.loop, wanted);
    });
    if (found == frames_.rend())
      return fail(badCall("there is no loop " + std::string(wanted) + " around this"));
    frame = &*found;
    next = 1;
  }
  std::int64_t offset = 0;
  if (args.size() > next) {
    TRY(offset, args.integer(next));
  }
  std::int64_t number = 0;
  if (__builtin_add_overflow(frame->index, offset, &number)) return fail(badCall("the offset is too large"));
  return json::value(number);
}

// -------------------------------------------------------------------------- functions that need not use all

Result<json::value> Evaluator::choose(const Expression& call) {
  if (call.children.size() != 3)
    return fail(badCall("if takes 3 arguments, not " + std::to_string(call.children.size())));
  TRY(const json::value condition, evaluate(call.children[0]));
  if (!condition.is_bool())
    return fail(badCall("argument 1 of if must be a boolean, not " + std::string(kindOf(condition))));
  return evaluate(call.children[condition.get_bool() ? 1 : 2]);
}

Result<json::value> Evaluator::allOrAny(const Expression& call, bool all) {
  if (call.children.size() < 2) return fail(badCall(call.text + " takes at least 2 arguments"));
  for (std::size_t i = 0; i < call.children.size(); ++i) {
    TRY(const json::value value, evaluate(call.children[i]));
    if (!value.is_bool()) {
      return fail(badCall("argument " + std::to_string(i + 1) + " of " + call.text +
                          " must be a boolean, not " + std::string(kindOf(value))));
    }
    if (value.get_bool() != all) return json::value(!all);
  }
  return json::value(all);
}

Result<json::value> Evaluator::coalesce(const Expression& call) {
  if (call.children.empty()) return fail(badCall("coalesce takes at least 1 argument"));
  for (const Expression& child : call.children) {
    TRY(json::value value, evaluate(child));
    if (!value.is_null()) return value;
  }
  return json::value(nullptr);
}

// -------------------------------------------------------------------------------------------------- lambdas

Result<json::value> Evaluator::lambdaVariable(const Expression& call) {
  TRY(const Arguments args, arguments(call, 1, 1));
  TRY(const std::string name, args.text(0));
  const auto found = std::find_if(lambda_variables_.rbegin(), lambda_variables_.rend(),
                                  [&](const auto& each) { return equalsIgnoringCase(each.first, name); });
  if (found == lambda_variables_.rend()) return fail(badCall("there is no lambda variable " + name));
  return found->second;
}

/// lambda('a', 'b', body) with a and b bound to the first of `values`.
Result<json::value> Evaluator::applied(const Expression& lambda, std::vector<json::value> values) {
  const bool is_lambda = lambda.kind == Expression::Kind::Call && equalsIgnoringCase(lambda.text, "lambda");
  const std::size_t names = is_lambda && !lambda.children.empty() ? lambda.children.size() - 1 : 0;
  if (!is_lambda || lambda.children.empty() || names > values.size()) {
    return fail(atColumn(lambda.column, badCall("a lambda of at most " + std::to_string(values.size()) +
                                                " variables is expected")));
  }
  const std::size_t before = lambda_variables_.size();
  for (std::size_t i = 0; i < names; ++i) {
    if (lambda.children[i].kind != Expression::Kind::Text) {
      lambda_variables_.resize(before);
      return fail(atColumn(lambda.children[i].column, badCall("a lambda's variable is named by a string")));
    }
    lambda_variables_.emplace_back(lambda.children[i].text, std::move(values[i]));
  }
  Result<json::value> value = evaluate(lambda.children.back());
  lambda_variables_.resize(before);
  return value;
}

namespace {

Error takes(const Expression& call, std::string_view what) {
  return badCall(call.text + " takes " + std::string(what));
}

}  // namespace

Result<json::value> Evaluator::mapped(const Expression& call) {
  if (call.children.size() != 2) return fail(takes(call, "an array and a lambda"));
  TRY(const json::value list, evaluate(call.children[0]));
  if (!list.is_array()) return fail(takes(call, "an array and a lambda"));
  json::array made;
  for (std::size_t i = 0; i < list.get_array().size(); ++i) {
    TRY(json::value value, applied(call.children[1], {list.get_array()[i], static_cast<std::int64_t>(i)}));
    made.push_back(std::move(value));
  }
  return json::value(std::move(made));
}

Result<json::value> Evaluator::filtered(const Expression& call) {
  if (call.children.size() != 2) return fail(takes(call, "an array and a lambda"));
  TRY(const json::value list, evaluate(call.children[0]));
  if (!list.is_array()) return fail(takes(call, "an array and a lambda"));
  json::array made;
  for (std::size_t i = 0; i < list.get_array().size(); ++i) {
    const json::value& each = list.get_array()[i];
    TRY(const json::value keep, applied(call.children[1], {each, static_cast<std::int64_t>(i)}));
    if (!keep.is_bool()) return fail(badCall("the lambda of filter must give a boolean"));
    if (keep.get_bool()) made.push_back(each);
  }
  return json::value(std::move(made));
}

Result<json::value> Evaluator::reduced(const Expression& call) {
  if (call.children.size() != 3) return fail(takes(call, "an array, a first value and a lambda"));
  TRY(const json::value list, evaluate(call.children[0]));
  TRY(json::value sum, evaluate(call.children[1]));
  if (!list.is_array()) return fail(takes(call, "an array, a first value and a lambda"));
  for (std::size_t i = 0; i < list.get_array().size(); ++i) {
    TRY(sum, applied(call.children[2], {std::move(sum), list.get_array()[i], static_cast<std::int64_t>(i)}));
  }
  return sum;
}

/// By insertion, stable; the lambda says whether its first value comes before its second.
Result<json::value> Evaluator::sorted(const Expression& call) {
  if (call.children.size() != 2) return fail(takes(call, "an array and a lambda"));
  TRY(const json::value list, evaluate(call.children[0]));
  if (!list.is_array()) return fail(takes(call, "an array and a lambda"));
  json::array made;
  for (const json::value& each : list.get_array()) {
    std::size_t low = 0;
    std::size_t high = made.size();
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      TRY(const json::value before, applied(call.children[1], {each, made[middle]}));
      if (!before.is_bool()) return fail(badCall("the lambda of sort must give a boolean"));
      if (before.get_bool()) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    made.insert(made.begin() + static_cast<std::ptrdiff_t>(low), each);
  }
  return json::value(std::move(made));
}

Result<json::value> Evaluator::toObject(const Expression& call) {
  if (call.children.size() != 2 && call.children.size() != 3)
    return fail(takes(call, "an array and one or two lambdas"));
  TRY(const json::value list, evaluate(call.children[0]));
  if (!list.is_array()) return fail(takes(call, "an array and one or two lambdas"));
  json::object made;
  for (const json::value& each : list.get_array()) {
    TRY(const json::value key, applied(call.children[1], {each}));
    if (!key.is_string()) return fail(badCall("the first lambda of toObject must give a string"));
    json::value value = each;
    if (call.children.size() == 3) {
      TRY(value, applied(call.children[2], {each}));
    }
    made[key.get_string()] = std::move(value);
  }
  return json::value(std::move(made));
}

Result<json::value> Evaluator::groupedBy(const Expression& call) {
  if (call.children.size() != 2) return fail(takes(call, "an array and a lambda"));
  TRY(const json::value list, evaluate(call.children[0]));
  if (!list.is_array()) return fail(takes(call, "an array and a lambda"));
  json::object made;
  for (const json::value& each : list.get_array()) {
    TRY(const json::value key, applied(call.children[1], {each}));
    if (!key.is_string()) return fail(badCall("the lambda of groupBy must give a string"));
    json::value& group = made[key.get_string()];
    if (!group.is_array()) group = json::array{};
    group.get_array().push_back(each);
  }
  return json::value(std::move(made));
}

Result<json::value> Evaluator::mappedValues(const Expression& call) {
  if (call.children.size() != 2) return fail(takes(call, "an object and a lambda"));
  TRY(const json::value map, evaluate(call.children[0]));
  if (!map.is_object()) return fail(takes(call, "an object and a lambda"));
  json::object made;
  for (const json::key_value_pair& each : map.get_object()) {
    TRY(json::value value, applied(call.children[1], {each.value()}));
    made[each.key()] = std::move(value);
  }
  return json::value(std::move(made));
}

// ------------------------------------------------------------------------------- what a running deployment
// knows

Result<json::value> Evaluator::reference(const Expression& call) {
  TRY(const Arguments args, arguments(call, 1, 3));
  TRY(const std::string id, args.text(0));
  std::string api_version;
  if (args.size() > 1) {
    TRY(api_version, args.text(1));
  }
  bool full = false;
  if (args.size() > 2) {
    TRY(const std::string word, args.text(2));
    if (!equalsIgnoringCase(word, "full")) return fail(badCall("argument 3 of reference can only be 'Full'"));
    full = true;
  }
  if (runtime_ == nullptr)
    return fail(badCall("reference can only be used in a resource's properties and in outputs"));
  return runtime_->reference(id, api_version, full);
}

Result<json::value> Evaluator::list(const Expression& call) {
  TRY(const Arguments args, arguments(call, 2, 3));
  TRY(const std::string id, args.text(0));
  TRY(const std::string api_version, args.text(1));
  if (runtime_ == nullptr)
    return fail(badCall(call.text + " can only be used in a resource's properties and in outputs"));
  return runtime_->list(call.text, id, api_version, args.size() > 2 ? args[2] : json::value(nullptr));
}

}  // namespace berth::arm_template
