#include "arm/template/plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <boost/json.hpp>

#include "arm/template/limits.h"
#include "base/text.h"

namespace berth::arm_template {
namespace {

constexpr std::string_view kDeployments = "Microsoft.Resources/deployments";
constexpr std::string_view kResourceGroups = "Microsoft.Resources/resourceGroups";

std::string textIn(const json::object& object, std::string_view key) {
  const json::value* value = find(object, key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::string prefixOf(const Surroundings& target, const std::string& group) {
  const std::string name = group.empty() ? textIn(target.resource_group, "name") : group;
  return "/subscriptions/" + textIn(target.subscription, "subscriptionId") +
         (name.empty() ? "" : "/resourceGroups/" + name);
}

/// "Microsoft.Compute/virtualMachines/vm/extensions/e" of a type and a name in full.
std::string interleaved(const std::string& type, const std::string& name) {
  const std::vector<std::string> types = split(type, '/');
  const std::vector<std::string> names = split(name, '/');
  std::string path = types[0];
  for (std::size_t i = 0; i < names.size(); ++i)
    path.append("/").append(types[i + 1]).append("/").append(names[i]);
  return path;
}

// ------------------------------------------------------------------------------------------------- expanding

/// Makes the list of resources of one plan.
class Expander {
 public:
  explicit Expander(Plan& plan) : plan_(plan) {}

  Result<void> run() {
    for (const auto& declaration : plan_.declared->resources()) TRY_VOID(expand(*declaration));
    return noneTwice();
  }

 private:
  struct Loop {
    std::string name;
    std::int64_t count = 1;
    std::size_t batch = 0;  // So many at a time; 0: all.
  };

  Result<void> expand(const ResourceDeclaration& declaration) {
    if (declaration.parent == nullptr) return expandBelow(declaration, nullptr);
    // By index: the list grows meanwhile.
    const std::vector<std::size_t> parents = instances_[declaration.parent];
    for (const std::size_t parent : parents) {
      const PlannedResource copy = plan_.resources[parent];
      TRY_VOID(expandBelow(declaration, &copy));
      for (std::size_t i = first_; i < plan_.resources.size(); ++i)
        plan_.resources[i].depends_on.push_back(parent);
    }
    return {};
  }

  Result<void> expandBelow(const ResourceDeclaration& declaration, const PlannedResource* parent) {
    first_ = plan_.resources.size();
    const CopyFrames around = parent == nullptr ? plan_.frames : parent->frames;
    const json::value* copy = find(*declaration.source, "copy");
    if (copy == nullptr) return add(declaration, parent, around, Loop{});
    TRY(const Loop loop, loopOf(*copy, member(declaration.path, "copy"), around));
    const std::size_t first = plan_.resources.size();
    for (std::int64_t i = 0; i < loop.count; ++i) {
      CopyFrames frames = around;
      frames.push_back({loop.name, i});
      TRY_VOID(add(declaration, parent, frames, loop));
    }
    queueBatches(first, loop.batch);
    return {};
  }

  /// In serial mode every turn waits for the batch before its own.
  void queueBatches(std::size_t first, std::size_t batch) {
    if (batch == 0) return;
    for (std::size_t i = first + batch; i < plan_.resources.size(); ++i) {
      const std::size_t begin = first + (i - first) / batch * batch;
      for (std::size_t before = begin - batch; before < begin; ++before)
        plan_.resources[i].depends_on.push_back(before);
    }
  }

  Result<Loop> loopOf(const json::value& copy, const std::string& path, const CopyFrames& frames) {
    Loop loop;
    const json::value* name = find(copy, "name");
    const json::value* count = find(copy, "count");
    if (name == nullptr || count == nullptr)
      return fail(invalidTemplate(path, "a loop has \"name\" and \"count\""));
    Evaluator evaluator(*plan_.scope, frames);
    TRY(loop.name, evaluator.evaluateText(*name, member(path, "name")));
    TRY(loop.count, integerIn(evaluator, *count, member(path, "count"), 0, kMaxCopies));
    const json::value* mode = find(copy, "mode");
    if (mode == nullptr) return loop;
    TRY(const std::string word, evaluator.evaluateText(*mode, member(path, "mode")));
    if (equalsIgnoringCase(word, "parallel")) return loop;
    if (!equalsIgnoringCase(word, "serial"))
      return fail(invalidTemplate(member(path, "mode"), "is neither parallel nor serial"));
    loop.batch = 1;
    if (const json::value* size = find(copy, "batchSize")) {
      TRY(const std::int64_t batch, integerIn(evaluator, *size, member(path, "batchSize"), 1, kMaxCopies));
      loop.batch = static_cast<std::size_t>(batch);
    }
    return loop;
  }

  static Result<std::int64_t> integerIn(Evaluator& evaluator, const json::value& value,
                                        const std::string& path, std::int64_t least, std::int64_t most) {
    TRY(const json::value number, evaluator.evaluate(value, path));
    const bool fits = number.is_int64() && number.get_int64() >= least && number.get_int64() <= most;
    if (fits) return number.get_int64();
    return fail(invalidTemplate(
        path, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most)));
  }

  Result<void> add(const ResourceDeclaration& declaration, const PlannedResource* parent,
                   const CopyFrames& frames, const Loop& loop) {
    if (plan_.resources.size() >= kMaxResources) {
      return fail(invalidTemplate("resources", "more than " + std::to_string(kMaxResources)));
    }
    PlannedResource made;
    made.path = declaration.path;
    made.symbol = declaration.symbol;
    made.source = declaration.source;
    made.frames = frames;
    made.loop = loop.name;
    Evaluator evaluator(*plan_.scope, frames);
    TRY_VOID(name(made, parent, evaluator));
    TRY_VOID(switches(made, evaluator));
    TRY(made.id, idOf(made, evaluator));
    instances_[&declaration].push_back(plan_.resources.size());
    plan_.resources.push_back(std::move(made));
    return {};
  }

  static Result<void> name(PlannedResource& made, const PlannedResource* parent, Evaluator& evaluator) {
    TRY(made.type, evaluator.evaluateText(*find(*made.source, "type"), member(made.path, "type")));
    TRY(made.name, evaluator.evaluateText(*find(*made.source, "name"), member(made.path, "name")));
    const bool is_child = parent != nullptr && !toLower(made.type).starts_with(toLower(parent->type) + "/");
    if (is_child) {
      made.type = parent->type + "/" + made.type;
      made.name = parent->name + "/" + made.name;
    }
    if (const json::value* version = find(*made.source, "apiVersion")) {
      TRY(made.api_version, evaluator.evaluateText(*version, member(made.path, "apiVersion")));
    }
    const std::vector<std::string> types = split(made.type, '/');
    const std::vector<std::string> names = split(made.name, '/');
    const auto empty = [](const std::string& part) { return part.empty(); };
    if (types.size() < 2 || std::ranges::any_of(types, empty)) {
      return fail(invalidTemplate(member(made.path, "type"), "\"" + made.type + "\" is no resource type"));
    }
    const bool odd = std::ranges::any_of(
        names, [](const std::string& part) { return part.empty() || part == "." || part == ".."; });
    if (names.size() != types.size() - 1 || odd) {
      return fail(invalidTemplate(member(made.path, "name"),
                                  "\"" + made.name + "\" must be " + std::to_string(types.size() - 1) +
                                      " names joined by '/' for the type " + made.type));
    }
    return {};
  }

  static Result<void> switches(PlannedResource& made, Evaluator& evaluator) {
    if (const json::value* condition = find(*made.source, "condition")) {
      TRY(const json::value value, evaluator.evaluate(*condition, member(made.path, "condition")));
      if (!value.is_bool()) {
        return fail(invalidTemplate(member(made.path, "condition"),
                                    "must be a boolean, not " + std::string(kindOf(value))));
      }
      made.enabled = value.get_bool();
    }
    const json::value* existing = find(*made.source, "existing");
    made.existing = existing != nullptr && existing->is_bool() && existing->get_bool();
    return {};
  }

  Result<std::string> idOf(const PlannedResource& made, Evaluator& evaluator) const {
    if (equalsIgnoringCase(made.type, kResourceGroups)) {
      return "/subscriptions/" + textIn(plan_.target.subscription, "subscriptionId") + "/resourceGroups/" +
             made.name;
    }
    std::string group;
    if (const json::value* other = find(*made.source, "resourceGroup")) {
      TRY(group, evaluator.evaluateText(*other, member(made.path, "resourceGroup")));
    }
    std::string scope = prefixOf(plan_.target, group);
    if (const json::value* extended = find(*made.source, "scope")) {
      TRY(const std::string text, evaluator.evaluateText(*extended, member(made.path, "scope")));
      scope = text.starts_with('/') ? text : scope + "/providers/" + text;
      if (scope == "/") scope.clear();
    }
    return scope + "/providers/" + interleaved(made.type, made.name);
  }

  Result<void> noneTwice() const {
    std::map<std::string, const PlannedResource*> seen;
    for (const PlannedResource& each : plan_.resources) {
      if (!each.enabled || each.existing) continue;
      const auto [there, fresh] = seen.emplace(toLower(each.id), &each);
      if (!fresh) {
        return fail(invalidTemplate(
            each.path, "the resource " + each.id + " is there twice, also in " + there->second->path));
      }
    }
    return {};
  }

  Plan& plan_;
  std::size_t first_ = 0;  // Of the instances made last.
  std::map<const ResourceDeclaration*, std::vector<std::size_t>> instances_;
};

// --------------------------------------------------------------------------------------------- dependencies

/// Finds resources of a plan by whatever templates call them.
class Directory {
 public:
  explicit Directory(const Plan& plan) {
    for (std::size_t i = 0; i < plan.resources.size(); ++i) {
      const PlannedResource& each = plan.resources[i];
      std::set<std::string> names{toLower(each.id), toLower(interleaved(each.type, each.name)),
                                  toLower(each.type + "/" + each.name), toLower(each.name)};
      // What resourceId() makes of a resource group, which has a shorter id.
      names.insert(toLower(prefixOf(plan.target, "") + "/providers/" + interleaved(each.type, each.name)));
      if (!each.symbol.empty()) names.insert(toLower(each.symbol));
      if (!each.loop.empty()) names.insert(toLower(each.loop));
      for (const std::string& name : names) places_[name].push_back(i);
    }
  }

  /// Empty: there is none.
  const std::vector<std::size_t>& find(std::string_view name) const {
    static const std::vector<std::size_t> kNone;
    std::string key = toLower(name);
    while (key.size() > 1 && key.back() == '/') key.pop_back();
    const auto found = places_.find(key);
    return found == places_.end() ? kNone : found->second;
  }

 private:
  std::map<std::string, std::vector<std::size_t>> places_;
};

Result<void> addDeclared(Plan& plan, const Directory& directory, PlannedResource& resource) {
  const json::value* list = find(*resource.source, "dependsOn");
  if (list == nullptr) return {};
  const std::string path = member(resource.path, "dependsOn");
  Evaluator evaluator(*plan.scope, resource.frames);
  TRY(const json::value names, evaluator.evaluate(*list, path));
  if (!names.is_array())
    return fail(invalidTemplate(path, "must be an array, not " + std::string(kindOf(names))));
  for (std::size_t i = 0; i < names.get_array().size(); ++i) {
    const json::value& name = names.get_array()[i];
    if (!name.is_string())
      return fail(invalidTemplate(element(path, i), "must be a string, not " + std::string(kindOf(name))));
    const std::string text(name.get_string());
    const std::vector<std::size_t>& found = directory.find(text);
    if (found.empty()) return fail(invalidTemplate(element(path, i), "the template has no resource " + text));
    resource.depends_on.insert(resource.depends_on.end(), found.begin(), found.end());
  }
  return {};
}

/// Calls of reference() and list...() in an expression make it wait for what they name, where that is known
/// before anything runs.
void addReferences(const Expression& expression, Evaluator& evaluator, const Directory& directory,
                   std::vector<std::size_t>& out) {
  const std::string name = toLower(expression.text);
  const bool refers = expression.kind == Expression::Kind::Call && !expression.children.empty() &&
                      (name == "reference" || name.starts_with("list"));
  if (refers) {
    const Result<json::value> target = evaluator.evaluate(expression.children[0]);
    if (target && target->is_string()) {
      const std::vector<std::size_t>& found = directory.find(std::string_view(target->get_string()));
      out.insert(out.end(), found.begin(), found.end());
    }
  }
  for (const Expression& child : expression.children) addReferences(child, evaluator, directory, out);
}

void addReferences(const json::value& value, Evaluator& evaluator, const Directory& directory,
                   std::vector<std::size_t>& out) {
  if (const json::array* array = value.if_array()) {
    for (const json::value& each : *array) addReferences(each, evaluator, directory, out);
  } else if (const json::object* object = value.if_object()) {
    for (const json::key_value_pair& each : *object) addReferences(each.value(), evaluator, directory, out);
  } else if (value.is_string() && isExpression(value.get_string())) {
    const Result<Expression> expression = parseExpression(value.get_string());
    if (expression) addReferences(*expression, evaluator, directory, out);
  }
}

bool hasInnerScope(const json::object& properties) {
  const json::value* options = find(properties, "expressionEvaluationOptions");
  const json::value* scope = options == nullptr ? nullptr : find(*options, "scope");
  return scope != nullptr && scope->is_string() && equalsIgnoringCase(scope->get_string(), "inner");
}

void addImplied(const Plan& plan, const Directory& directory, PlannedResource& resource) {
  Evaluator evaluator(*plan.scope, resource.frames);
  for (const json::key_value_pair& each : *resource.source) {
    if (equalsIgnoringCase(each.key(), "resources") || equalsIgnoringCase(each.key(), "dependsOn")) continue;
    const json::object* properties = each.value().if_object();
    const bool is_deployment = equalsIgnoringCase(resource.type, kDeployments);
    if (!is_deployment || properties == nullptr || !equalsIgnoringCase(each.key(), "properties")) {
      addReferences(each.value(), evaluator, directory, resource.depends_on);
      continue;
    }
    for (const json::key_value_pair& inner : *properties) {
      const bool own = equalsIgnoringCase(inner.key(), "template") && hasInnerScope(*properties);
      if (!own) addReferences(inner.value(), evaluator, directory, resource.depends_on);
    }
  }
}

/// Each once, in order, without itself.
void tidy(std::vector<std::size_t>& list, std::size_t self) {
  std::ranges::sort(list);
  const auto twice = std::ranges::unique(list);
  list.erase(twice.begin(), twice.end());
  std::erase(list, self);
}

Result<void> connect(Plan& plan) {
  const Directory directory(plan);
  for (std::size_t i = 0; i < plan.resources.size(); ++i) {
    PlannedResource& resource = plan.resources[i];
    TRY_VOID(addDeclared(plan, directory, resource));
    const bool names_itself = std::ranges::find(resource.depends_on, i) != resource.depends_on.end();
    if (names_itself && resource.loop.empty()) {
      return fail(invalidTemplate(member(resource.path, "dependsOn"),
                                  "a circle: " + resource.name + " -> " + resource.name));
    }
    if (resource.enabled) addImplied(plan, directory, resource);
    tidy(resource.depends_on, i);
  }
  return {};
}

/// The names along a circle through the resources that are not in order yet: "a -> b -> a".
std::string circle(const Plan& plan, const std::vector<std::size_t>& waiting_for) {
  std::size_t at = 0;
  while (waiting_for[at] == 0) ++at;
  std::vector<std::size_t> walked;
  while (std::ranges::find(walked, at) == walked.end()) {
    walked.push_back(at);
    const auto& next = plan.resources[at].depends_on;
    at = *std::ranges::find_if(next, [&](std::size_t each) { return waiting_for[each] > 0; });
  }
  std::string text;
  for (auto it = std::ranges::find(walked, at); it != walked.end(); ++it)
    text += plan.resources[*it].name + " -> ";
  return text + plan.resources[at].name;
}

/// Kahn's algorithm; of those that could be next the first in the template is.
Result<void> sortByDependencies(Plan& plan) {
  const std::size_t count = plan.resources.size();
  std::vector<std::size_t> waiting_for(count);
  std::vector<std::vector<std::size_t>> waiters(count);
  std::set<std::size_t> ready;
  for (std::size_t i = 0; i < count; ++i) {
    waiting_for[i] = plan.resources[i].depends_on.size();
    for (const std::size_t each : plan.resources[i].depends_on) waiters[each].push_back(i);
    if (waiting_for[i] == 0) ready.insert(i);
  }
  while (!ready.empty()) {
    const std::size_t next = *ready.begin();
    ready.erase(ready.begin());
    plan.order.push_back(next);
    for (const std::size_t waiter : waiters[next]) {
      if (--waiting_for[waiter] == 0) ready.insert(waiter);
    }
  }
  if (plan.order.size() == count) return {};
  return fail(invalidTemplate("resources", "a circle of dependencies: " + circle(plan, waiting_for)));
}

Result<void> fill(Plan& plan) {
  TRY_VOID(Expander(plan).run());
  TRY_VOID(connect(plan));
  return sortByDependencies(plan);
}

/// Turns what a template calls a resource into its id.
class ResolvingRuntime final : public Runtime {
 public:
  ResolvingRuntime(const Plan& plan, Runtime& runtime) : plan_(plan), directory_(plan), runtime_(runtime) {}

  Result<json::value> reference(const std::string& id, const std::string& api_version, bool full) override {
    TRY(const std::string resolved, resolve(id));
    return runtime_.reference(resolved, api_version, full);
  }
  Result<json::value> list(const std::string& function, const std::string& id, const std::string& api_version,
                           const json::value& body) override {
    TRY(const std::string resolved, resolve(id));
    return runtime_.list(function, resolved, api_version, body);
  }

 private:
  Result<std::string> resolve(const std::string& name) const {
    const std::vector<std::size_t>& found = directory_.find(name);
    if (found.size() == 1) return plan_.resources[found.front()].id;
    if (name.starts_with('/')) return name;
    return fail(badCall(found.empty() ? "the template has no resource " + name
                                      : "the template has " + std::to_string(found.size()) +
                                            " resources called " + name));
  }

  const Plan& plan_;
  const Directory directory_;
  Runtime& runtime_;
};

bool isTemplatesOwn(std::string_view key) {
  for (const std::string_view own :
       {"condition", "copy", "dependsOn", "resources", "comments", "existing", "type", "name"}) {
    if (equalsIgnoringCase(own, key)) return true;
  }
  return false;
}

Result<json::object> deploymentProperties(Evaluator& evaluator, const json::object& properties,
                                          const std::string& path) {
  json::object made;
  for (const json::key_value_pair& each : properties) {
    if (equalsIgnoringCase(each.key(), "template") || equalsIgnoringCase(each.key(), "parameters")) continue;
    TRY(made[each.key()], evaluator.evaluate(each.value(), member(path, each.key())));
  }
  return made;
}

const json::object* propertiesOf(const PlannedResource& resource) {
  const json::value* properties = find(*resource.source, "properties");
  return properties == nullptr ? nullptr : properties->if_object();
}

// ----------------------------------------------------------------------------------------- nested
// deployments

struct Linked {
  json::value document;
  std::string folder;
};

Result<std::string> linkTarget(Evaluator& evaluator, const json::value& link, const std::string& path) {
  for (const char* key : {"relativePath", "uri"}) {
    if (const json::value* value = find(link, key)) return evaluator.evaluateText(*value, member(path, key));
  }
  return fail(invalidTemplate(path, "a link has \"relativePath\" or \"uri\""));
}

Result<Linked> readLink(Evaluator& evaluator, const json::value& link, const std::string& path,
                        const std::string& folder, const LinkReader& links) {
  TRY(const std::string target, linkTarget(evaluator, link, path));
  const Result<std::string> file = resolveLink(folder, target);
  if (!file) return fail(invalidTemplate(path, file.error().message));
  const Result<std::string> text = links(*file);
  if (!text) return fail(invalidTemplate(path, text.error().message));
  TRY(json::value document, readJson(*text, *file));
  return Linked{std::move(document), file->substr(0, file->rfind('/') + 1)};
}

Result<json::object> nestedParameters(Evaluator& evaluator, const json::object& properties,
                                      const std::string& path, const std::string& folder,
                                      const LinkReader& links) {
  if (const json::value* link = find(properties, "parametersLink")) {
    TRY(const Linked linked, readLink(evaluator, *link, member(path, "parametersLink"), folder, links));
    return parameterValues(linked.document, member(path, "parametersLink"));
  }
  const json::value* section = find(properties, "parameters");
  if (section == nullptr) return json::object{};
  TRY(const json::value evaluated, evaluator.evaluate(*section, member(path, "parameters")));
  return parameterValues(evaluated, member(path, "parameters"));
}

Result<Surroundings> nestedTarget(const Plan& outer, const PlannedResource& deployment, Evaluator& evaluator,
                                  Level level, const GroupReader& groups) {
  Surroundings target = outer.target;
  target.deployment = {{"name", deployment.name}};
  if (level == Level::Subscription) {
    target.resource_group.clear();
    return target;
  }
  std::string group = textIn(target.resource_group, "name");
  if (const json::value* other = find(*deployment.source, "resourceGroup")) {
    TRY(group, evaluator.evaluateText(*other, member(deployment.path, "resourceGroup")));
  }
  if (group.empty()) {
    return fail(
        invalidTemplate(deployment.path, "a deployment of resources into a group has \"resourceGroup\""));
  }
  TRY(target.resource_group, groups(group));
  return target;
}

Result<std::string> evaluatedMode(Evaluator& evaluator, const json::object& properties,
                                  const std::string& path) {
  const json::value* mode = find(properties, "mode");
  if (mode == nullptr) return std::string("Incremental");
  return evaluator.evaluateText(*mode, member(path, "mode"));
}

// -------------------------------------------------------------------------------------------------- outputs

std::string_view azureName(ValueType type) {
  switch (type) {
    case ValueType::String:
      return "String";
    case ValueType::SecureString:
      return "SecureString";
    case ValueType::Int:
      return "Int";
    case ValueType::Bool:
      return "Bool";
    case ValueType::Object:
      return "Object";
    case ValueType::SecureObject:
      return "SecureObject";
    case ValueType::Array:
      return "Array";
  }
  return "String";
}

Result<json::value> outputValue(Evaluator& evaluator, const json::object& output, const std::string& path) {
  if (const json::value* value = find(output, "value"))
    return evaluator.evaluate(*value, member(path, "value"));
  const json::value* copy = find(output, "copy");
  if (copy == nullptr || !copy->is_object())
    return fail(invalidTemplate(path, "an output has \"value\" or \"copy\""));
  json::object loop = copy->get_object();
  loop["name"] = "output";
  const json::value wrapped = json::object{{"copy", json::array{loop}}};
  TRY(const json::value made, evaluator.evaluate(wrapped, path));
  return made.at("output");
}

Result<std::optional<json::object>> outputOf(Evaluator& evaluator, const json::value& declared,
                                             const std::string& path) {
  const json::object* output = declared.if_object();
  if (output == nullptr)
    return fail(invalidTemplate(path, "must be an object, not " + std::string(kindOf(declared))));
  if (const json::value* condition = find(*output, "condition")) {
    TRY(const json::value enabled, evaluator.evaluate(*condition, member(path, "condition")));
    if (!enabled.is_bool()) return fail(invalidTemplate(member(path, "condition"), "must be a boolean"));
    if (!enabled.get_bool()) return std::optional<json::object>();
  }
  const auto type = parseValueType(textIn(*output, "type"));
  if (!type)
    return fail(invalidTemplate(member(path, "type"), "\"" + textIn(*output, "type") + "\" is no type"));
  TRY(json::value value, outputValue(evaluator, *output, path));
  if (!fits(value, *type)) {
    return fail(invalidTemplate(member(path, "value"), "must be of type " + std::string(name(*type)) +
                                                           ", not " + std::string(kindOf(value))));
  }
  json::object made{{"type", azureName(*type)}};
  if (!isSecure(*type)) made["value"] = std::move(value);
  return std::optional(std::move(made));
}

}  // namespace

Result<Plan> makePlan(std::shared_ptr<const Template> declared, const json::object& parameters,
                      const Surroundings& around) {
  if (declared->level() == Level::ResourceGroup && !around.atResourceGroup()) {
    return fail(invalidTemplate("$schema", "the template is for a resource group, not for a subscription"));
  }
  if (declared->level() == Level::Subscription && around.atResourceGroup()) {
    return fail(invalidTemplate("$schema", "the template is for a subscription, not for a resource group"));
  }
  TRY(const json::object bound, bindParameters(*declared, parameters));
  Plan plan;
  plan.declared = std::move(declared);
  plan.scope = std::make_shared<TemplateScope>(plan.declared, bound, around, std::make_shared<Budget>());
  plan.target = around;
  TRY_VOID(plan.scope->settleParameters());
  TRY_VOID(fill(plan));
  return plan;
}

Result<json::object> resourceBody(const Plan& plan, const PlannedResource& resource, Runtime* runtime) {
  std::optional<ResolvingRuntime> resolving;
  if (runtime != nullptr) resolving.emplace(plan, *runtime);
  Evaluator evaluator(*plan.scope, resource.frames, resolving ? &*resolving : nullptr);
  const json::object* properties = propertiesOf(resource);
  const bool is_deployment = equalsIgnoringCase(resource.type, kDeployments) && properties != nullptr;
  json::object body{{"type", resource.type}, {"name", resource.name}};
  for (const json::key_value_pair& each : *resource.source) {
    const std::string path = member(resource.path, each.key());
    if (isTemplatesOwn(each.key())) continue;
    if (is_deployment && equalsIgnoringCase(each.key(), "properties")) {
      TRY(body[each.key()], deploymentProperties(evaluator, *properties, path));
    } else {
      TRY(body[each.key()], evaluator.evaluate(each.value(), path));
    }
  }
  return body;
}

Result<Plan> nestedPlan(const Plan& outer, const PlannedResource& deployment, Runtime* runtime,
                        const LinkReader& links, const GroupReader& groups) {
  const std::string path = member(deployment.path, "properties");
  const json::object* properties = propertiesOf(deployment);
  if (properties == nullptr) return fail(invalidTemplate(deployment.path, "a deployment has \"properties\""));
  if (outer.nesting + 1 > kMaxNesting) {
    return fail(invalidTemplate(
        deployment.path, "more than " + std::to_string(kMaxNesting) + " deployments inside each other"));
  }
  std::optional<ResolvingRuntime> resolving;
  if (runtime != nullptr) resolving.emplace(outer, *runtime);
  Evaluator evaluator(*outer.scope, deployment.frames, resolving ? &*resolving : nullptr);

  Plan plan;
  plan.nesting = outer.nesting + 1;
  plan.folder = outer.folder;
  const json::value* embedded = find(*properties, "template");
  const json::value* link = find(*properties, "templateLink");
  if ((embedded == nullptr) == (link == nullptr)) {
    return fail(invalidTemplate(path, "a deployment has either \"template\" or \"templateLink\""));
  }
  json::value document;
  if (embedded != nullptr) {
    document = *embedded;
  } else {
    TRY(Linked linked, readLink(evaluator, *link, member(path, "templateLink"), outer.folder, links));
    document = std::move(linked.document);
    plan.folder = linked.folder;
  }
  TRY(plan.declared, Template::parse(std::move(document)).during(path));
  TRY(const std::string mode, evaluatedMode(evaluator, *properties, path));
  plan.complete = equalsIgnoringCase(mode, "Complete");
  TRY(plan.target, nestedTarget(outer, deployment, evaluator, plan.declared->level(), groups));

  if (embedded != nullptr && !hasInnerScope(*properties)) {
    plan.scope = outer.scope;
    plan.frames = deployment.frames;
  } else {
    TRY(const json::object given, nestedParameters(evaluator, *properties, path, outer.folder, links));
    TRY(const json::object bound, bindParameters(*plan.declared, given).during(path));
    plan.scope = std::make_shared<TemplateScope>(plan.declared, bound, plan.target, outer.scope->budget());
    TRY_VOID(plan.scope->settleParameters());
  }
  TRY_VOID(fill(plan));
  return plan;
}

Result<json::object> planOutputs(const Plan& plan, Runtime* runtime) {
  json::object made;
  if (plan.declared->outputs() == nullptr) return made;
  std::optional<ResolvingRuntime> resolving;
  if (runtime != nullptr) resolving.emplace(plan, *runtime);
  Evaluator evaluator(*plan.scope, plan.frames, resolving ? &*resolving : nullptr);
  for (const json::key_value_pair& each : *plan.declared->outputs()) {
    TRY(std::optional<json::object> output, outputOf(evaluator, each.value(), member("outputs", each.key())));
    if (output) made[each.key()] = *std::move(output);
  }
  return made;
}

Result<std::string> resolveLink(std::string_view folder, std::string_view link) {
  const bool has_scheme = link.find(':') != std::string_view::npos;
  if (link.empty() || link.starts_with('/') || has_scheme || link.find('\\') != std::string_view::npos) {
    return fail(badCall("\"" + std::string(link) +
                        "\" is not a path from the template's folder, which is all that can be linked here"));
  }
  std::vector<std::string> parts;
  for (const std::string& part : split(std::string(folder) + std::string(link), '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      return fail(badCall("\"" + std::string(link) + "\" leads out of the template's folder"));
    } else {
      parts.pop_back();
    }
  }
  if (parts.empty()) return fail(badCall("\"" + std::string(link) + "\" names no file"));
  return join(parts, "/");
}

}  // namespace berth::arm_template
