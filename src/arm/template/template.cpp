#include "arm/template/template.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json.hpp>

#include "arm/template/functions.h"
#include "arm/template/limits.h"
#include "base/text.h"

namespace berth::arm_template {
namespace {

constexpr std::array<std::string_view, 7> kTypeNames{"string", "securestring", "int",  "bool",
                                                     "object", "secureobject", "array"};
constexpr std::array<std::string_view, 12> kSections{
    "$schema",   "contentVersion", "apiProfile", "languageVersion", "metadata",    "parameters",
    "variables", "functions",      "resources",  "outputs",         "definitions", "imports"};

/// The object at `key`; null when there is none. Fails when it is something else.
Result<const json::object*> objectAt(const json::object& from, std::string_view key, std::string_view path) {
  const json::value* value = find(from, key);
  if (value == nullptr || value->is_null()) return nullptr;
  if (const json::object* object = value->if_object()) return object;
  return fail(invalidTemplate(member(path, key), "must be an object, not " + std::string(kindOf(*value))));
}

Result<std::string> textAt(const json::object& from, std::string_view key, std::string_view path) {
  const json::value* value = find(from, key);
  if (value == nullptr) return fail(invalidTemplate(path, "\"" + std::string(key) + "\" is missing"));
  if (const json::string* text = value->if_string()) return std::string(*text);
  return fail(invalidTemplate(member(path, key), "must be a string, not " + std::string(kindOf(*value))));
}

Result<std::optional<std::int64_t>> numberAt(const json::object& from, std::string_view key,
                                             std::string_view path) {
  const json::value* value = find(from, key);
  if (value == nullptr) return std::optional<std::int64_t>();
  if (const std::int64_t* number = value->if_int64()) return std::optional(*number);
  return fail(invalidTemplate(member(path, key), "must be an integer, not " + std::string(kindOf(*value))));
}

Result<void> noTwice(const json::object& object, std::string_view path) {
  std::map<std::string, std::string> seen;
  for (const json::key_value_pair& each : object) {
    const auto [there, fresh] = seen.emplace(toLower(each.key()), each.key());
    if (!fresh) {
      return fail(invalidTemplate(
          path, "\"" + there->second + "\" and \"" + std::string(each.key()) + "\" differ by case alone"));
    }
  }
  return {};
}

Result<ParameterDefinition> parameterFrom(const std::string& name, const json::value& value,
                                          const std::string& path) {
  const json::object* object = value.if_object();
  if (object == nullptr)
    return fail(invalidTemplate(path, "must be an object, not " + std::string(kindOf(value))));
  ParameterDefinition made;
  made.name = name;
  TRY(const std::string type, textAt(*object, "type", path));
  const auto known = parseValueType(type);
  if (!known) return fail(invalidTemplate(member(path, "type"), "\"" + type + "\" is no type"));
  made.type = *known;
  const json::value* nullable = find(*object, "nullable");
  made.nullable = nullable != nullptr && nullable->is_bool() && nullable->get_bool();
  made.default_value = find(*object, "defaultValue");
  if (const json::value* allowed = find(*object, "allowedValues")) {
    made.allowed = allowed->if_array();
    if (made.allowed == nullptr)
      return fail(invalidTemplate(member(path, "allowedValues"), "must be an array"));
  }
  TRY(made.min_value, numberAt(*object, "minValue", path));
  TRY(made.max_value, numberAt(*object, "maxValue", path));
  TRY(made.min_length, numberAt(*object, "minLength", path));
  TRY(made.max_length, numberAt(*object, "maxLength", path));
  return made;
}

Result<std::vector<std::string>> functionParameters(const json::object& function, const std::string& path) {
  std::vector<std::string> names;
  const json::value* list = find(function, "parameters");
  if (list == nullptr) return names;
  if (!list->is_array()) return fail(invalidTemplate(member(path, "parameters"), "must be an array"));
  const json::array& array = list->get_array();
  for (std::size_t i = 0; i < array.size(); ++i) {
    const std::string at = element(member(path, "parameters"), i);
    const json::object* parameter = array[i].if_object();
    if (parameter == nullptr) return fail(invalidTemplate(at, "must be an object"));
    TRY(std::string name, textAt(*parameter, "name", at));
    names.push_back(std::move(name));
  }
  return names;
}

Result<UserFunction> functionFrom(const std::string& name, const json::value& value,
                                  const std::string& path) {
  const json::object* object = value.if_object();
  if (object == nullptr) return fail(invalidTemplate(path, "must be an object"));
  UserFunction made;
  made.name = name;
  TRY(made.parameters, functionParameters(*object, path));
  TRY(const json::object* output, objectAt(*object, "output", path));
  made.output = output == nullptr ? nullptr : find(*output, "value");
  if (made.output == nullptr) return fail(invalidTemplate(path, "its \"output\" has no \"value\""));
  return made;
}

std::int64_t lengthOf(const json::value& value) {
  if (const json::array* array = value.if_array()) return static_cast<std::int64_t>(array->size());
  if (const json::string* text = value.if_string())
    return static_cast<std::int64_t>(characters(*text).size());
  return 0;
}

}  // namespace

std::optional<ValueType> parseValueType(std::string_view word) {
  for (std::size_t i = 0; i < kTypeNames.size(); ++i) {
    if (equalsIgnoringCase(kTypeNames.at(i), word)) return static_cast<ValueType>(i);
  }
  return std::nullopt;
}

std::string_view name(ValueType type) { return kTypeNames.at(static_cast<std::size_t>(type)); }

bool isSecure(ValueType type) { return type == ValueType::SecureString || type == ValueType::SecureObject; }

bool fits(const json::value& value, ValueType type) {
  switch (type) {
    case ValueType::String:
    case ValueType::SecureString:
      return value.is_string();
    case ValueType::Int:
      return value.is_int64();
    case ValueType::Bool:
      return value.is_bool();
    case ValueType::Object:
    case ValueType::SecureObject:
      return value.is_object();
    case ValueType::Array:
      return value.is_array();
  }
  return false;
}

Result<std::shared_ptr<const Template>> Template::parse(json::value document) {
  std::shared_ptr<Template> made(new Template(std::move(document)));
  TRY_VOID(made->read());
  return std::shared_ptr<const Template>(std::move(made));
}

Result<void> Template::read() {
  const json::object* root = document_.if_object();
  if (root == nullptr)
    return fail(invalidTemplate("", "must be an object, not " + std::string(kindOf(document_))));
  TRY_VOID(noTwice(*root, ""));
  for (const json::key_value_pair& each : *root) {
    const bool known =
        std::ranges::any_of(kSections, [&](auto section) { return equalsIgnoringCase(section, each.key()); });
    if (!known) return fail(invalidTemplate(each.key(), "a template has no such section"));
  }
  for (const std::string_view unsupported : {"imports", "definitions"}) {
    const json::value* section = find(*root, unsupported);
    if (section != nullptr && section->is_object() && !section->get_object().empty()) {
      return fail(invalidTemplate(unsupported, "this section is not supported"));
    }
  }
  TRY_VOID(readSchema(*root));
  TRY_VOID(readParameters(*root));
  TRY_VOID(readFunctions(*root));
  TRY(variables_, objectAt(*root, "variables", ""));
  if (variables_ != nullptr) {
    TRY_VOID(noTwice(*variables_, "variables"));
    if (variables_->size() > kMaxVariables) {
      return fail(invalidTemplate("variables", "more than " + std::to_string(kMaxVariables)));
    }
  }
  TRY(outputs_, objectAt(*root, "outputs", ""));
  if (outputs_ != nullptr && outputs_->size() > kMaxOutputs) {
    return fail(invalidTemplate("outputs", "more than " + std::to_string(kMaxOutputs)));
  }
  return readResources(*root);
}

Result<void> Template::readSchema(const json::object& root) {
  TRY(std::string schema, textAt(root, "$schema", ""));
  if (schema.ends_with('#')) schema.pop_back();
  const std::string file = toLower(schema.substr(schema.rfind('/') + 1));
  if (file == "deploymenttemplate.json") {
    level_ = Level::ResourceGroup;
  } else if (file == "subscriptiondeploymenttemplate.json") {
    level_ = Level::Subscription;
  } else {
    return fail(invalidTemplate("$schema", "\"" + schema +
                                               "\" is neither deploymentTemplate.json nor "
                                               "subscriptionDeploymentTemplate.json"));
  }
  return {};
}

Result<void> Template::readParameters(const json::object& root) {
  TRY(const json::object* section, objectAt(root, "parameters", ""));
  if (section == nullptr) return {};
  TRY_VOID(noTwice(*section, "parameters"));
  if (section->size() > kMaxParameters) {
    return fail(invalidTemplate("parameters", "more than " + std::to_string(kMaxParameters)));
  }
  for (const json::key_value_pair& each : *section) {
    TRY(ParameterDefinition made,
        parameterFrom(std::string(each.key()), each.value(), member("parameters", each.key())));
    parameters_.emplace(toLower(each.key()), std::move(made));
  }
  return {};
}

Result<void> Template::readFunctions(const json::object& root) {
  const json::value* section = find(root, "functions");
  if (section == nullptr) return {};
  if (!section->is_array()) return fail(invalidTemplate("functions", "must be an array"));
  const json::array& spaces = section->get_array();
  for (std::size_t i = 0; i < spaces.size(); ++i) {
    const std::string path = element("functions", i);
    const json::object* space = spaces[i].if_object();
    if (space == nullptr) return fail(invalidTemplate(path, "must be an object"));
    TRY(const std::string prefix, textAt(*space, "namespace", path));
    TRY(const json::object* members, objectAt(*space, "members", path));
    if (members == nullptr) continue;
    for (const json::key_value_pair& each : *members) {
      const std::string name = prefix + "." + std::string(each.key());
      TRY(UserFunction made, functionFrom(name, each.value(), member(member(path, "members"), each.key())));
      if (!functions_.emplace(toLower(name), std::move(made)).second) {
        return fail(invalidTemplate(path, "the function " + name + " is there twice"));
      }
    }
  }
  return {};
}

Result<void> Template::readResources(const json::object& root) {
  const json::value* section = find(root, "resources");
  if (section == nullptr) return fail(invalidTemplate("", "\"resources\" is missing"));
  if (const json::object* symbols = section->if_object()) {
    TRY_VOID(noTwice(*symbols, "resources"));
    for (const json::key_value_pair& each : *symbols) {
      TRY_VOID(addResource(each.value(), std::string(each.key()), member("resources", each.key()), nullptr));
    }
    return {};
  }
  if (!section->is_array()) return fail(invalidTemplate("resources", "must be an array or an object"));
  const json::array& list = section->get_array();
  for (std::size_t i = 0; i < list.size(); ++i) {
    TRY_VOID(addResource(list[i], "", element("resources", i), nullptr));
  }
  return {};
}

Result<void> Template::addResource(const json::value& value, const std::string& symbol,
                                   const std::string& path, const ResourceDeclaration* parent) {
  const json::object* object = value.if_object();
  if (object == nullptr)
    return fail(invalidTemplate(path, "must be an object, not " + std::string(kindOf(value))));
  TRY_VOID(noTwice(*object, path));
  if (resources_.size() >= kMaxResources) {
    return fail(invalidTemplate("resources", "more than " + std::to_string(kMaxResources)));
  }
  for (const char* needed : {"type", "name"}) {
    TRY([[maybe_unused]] const std::string text, textAt(*object, needed, path));
  }
  resources_.push_back(
      std::make_unique<ResourceDeclaration>(ResourceDeclaration{symbol, path, object, parent}));
  const ResourceDeclaration* self = resources_.back().get();
  const json::value* children = find(*object, "resources");
  if (children == nullptr) return {};
  if (!children->is_array()) return fail(invalidTemplate(member(path, "resources"), "must be an array"));
  const json::array& list = children->get_array();
  for (std::size_t i = 0; i < list.size(); ++i) {
    TRY_VOID(addResource(list[i], "", element(member(path, "resources"), i), self));
  }
  return {};
}

const ParameterDefinition* Template::parameter(std::string_view name) const {
  const auto found = parameters_.find(toLower(name));
  return found == parameters_.end() ? nullptr : &found->second;
}

const UserFunction* Template::function(std::string_view name) const {
  const auto found = functions_.find(toLower(name));
  return found == functions_.end() ? nullptr : &found->second;
}

Result<json::object> readParameterFile(std::string_view text, const std::string& file) {
  TRY(const json::value document, readJson(text, file));
  return parameterValues(document, "");
}

Result<json::object> parameterValues(const json::value& document, std::string_view path) {
  const json::object* root = document.if_object();
  if (root == nullptr)
    return fail(invalidTemplate(path, "parameters are an object, not " + std::string(kindOf(document))));
  const bool whole_file = find(*root, "$schema") != nullptr || find(*root, "contentVersion") != nullptr;
  const std::string below = whole_file ? member(path, "parameters") : std::string(path);
  const json::value* section = whole_file ? find(*root, "parameters") : &document;
  json::object values;
  if (section == nullptr) return values;
  if (!section->is_object()) return fail(invalidTemplate(below, "must be an object"));
  TRY_VOID(noTwice(section->get_object(), below));
  for (const json::key_value_pair& each : section->get_object()) {
    const std::string at = member(below, each.key());
    const json::value* value = find(each.value(), "value");
    if (value == nullptr && find(each.value(), "reference") != nullptr) {
      return fail(invalidTemplate(at, "there is no key vault on this device; give the value itself"));
    }
    if (value == nullptr) return fail(invalidTemplate(at, "must be an object with \"value\""));
    values[each.key()] = *value;
  }
  return values;
}

std::string parameterProblem(const ParameterDefinition& definition, const json::value& value) {
  if (value.is_null() && definition.nullable) return {};
  if (!fits(value, definition.type)) {
    return "must be of type " + std::string(name(definition.type)) + ", not " + std::string(kindOf(value));
  }
  if (definition.allowed != nullptr) {
    const bool one =
        std::ranges::any_of(*definition.allowed, [&](const json::value& each) { return same(each, value); });
    // An array may also hold several of what is allowed.
    const bool all = value.is_array() && std::ranges::all_of(value.get_array(), [&](const json::value& item) {
                       return std::ranges::any_of(*definition.allowed,
                                                  [&](const json::value& each) { return same(each, item); });
                     });
    if (!one && !all) {
      return (isSecure(definition.type) ? std::string("the value") : json::serialize(value)) +
             " is none of " + json::serialize(*definition.allowed);
    }
  }
  if (definition.type == ValueType::Int) {
    const std::int64_t number = value.get_int64();
    if (definition.min_value && number < *definition.min_value)
      return "must be at least " + std::to_string(*definition.min_value);
    if (definition.max_value && number > *definition.max_value)
      return "must be at most " + std::to_string(*definition.max_value);
  }
  const bool has_length = value.is_string() || value.is_array();
  if (has_length && definition.min_length && lengthOf(value) < *definition.min_length) {
    return "must have a length of at least " + std::to_string(*definition.min_length);
  }
  if (has_length && definition.max_length && lengthOf(value) > *definition.max_length) {
    return "must have a length of at most " + std::to_string(*definition.max_length);
  }
  return {};
}

Result<json::object> bindParameters(const Template& declared, const json::object& given) {
  json::object bound;
  std::vector<ErrorDetail> problems;
  for (const json::key_value_pair& each : given) {
    const ParameterDefinition* definition = declared.parameter(each.key());
    const std::string problem = definition == nullptr ? "the template has no such parameter"
                                                      : parameterProblem(*definition, each.value());
    if (!problem.empty()) problems.push_back({member("parameters", each.key()), problem, {}});
    bound[toLower(each.key())] = each.value();
  }
  for (const auto& [key, definition] : declared.parameters()) {
    const bool needed = definition.default_value == nullptr && !definition.nullable;
    if (needed && !bound.contains(key)) {
      problems.push_back({member("parameters", definition.name), "has no value and no default", {}});
    }
  }
  if (problems.empty()) return bound;
  const std::string message = problems.front().target + ": " + problems.front().message;
  return fail(Error{ErrorCode::InvalidArgument, message, "InvalidTemplate", std::move(problems)});
}

}  // namespace berth::arm_template
