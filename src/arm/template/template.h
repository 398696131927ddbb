// A template taken apart (appliance.md 4.3): what it declares, checked for shape but not evaluated.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "arm/template/json_reader.h"
#include "base/error.h"

namespace berth::arm_template {

/// What a template is deployed to, by its schema.
enum class Level : std::uint8_t { ResourceGroup, Subscription };

enum class ValueType : std::uint8_t { String, SecureString, Int, Bool, Object, SecureObject, Array };
/// "string", "securestring" ... in any case; none for other words.
std::optional<ValueType> parseValueType(std::string_view word);
std::string_view name(ValueType type);
bool isSecure(ValueType type);
bool fits(const json::value& value, ValueType type);

struct ParameterDefinition {
  std::string name;  // As declared.
  ValueType type = ValueType::String;
  bool nullable = false;
  const json::value* default_value = nullptr;
  const json::array* allowed = nullptr;
  std::optional<std::int64_t> min_value;
  std::optional<std::int64_t> max_value;
  std::optional<std::int64_t> min_length;
  std::optional<std::int64_t> max_length;
};

struct UserFunction {
  std::string name;  // "namespace.member"
  std::vector<std::string> parameters;
  const json::value* output = nullptr;
};

/// One entry of "resources", child resources of others included.
struct ResourceDeclaration {
  std::string symbol;  // Its symbolic name (languageVersion 2.0), else empty.
  std::string path;    // "resources[0]"
  const json::object* source = nullptr;
  const ResourceDeclaration* parent = nullptr;
};

/// Points into the document it keeps. Immutable.
class Template {
 public:
  /// InvalidArgument with the JSON path of what is wrong.
  static Result<std::shared_ptr<const Template>> parse(json::value document);
  Template(const Template&) = delete;
  Template& operator=(const Template&) = delete;

  Level level() const { return level_; }
  /// Null: not declared. Names are found whatever their case.
  const ParameterDefinition* parameter(std::string_view name) const;
  const UserFunction* function(std::string_view name) const;
  const json::object* variables() const { return variables_; }
  const json::object* outputs() const { return outputs_; }
  const std::map<std::string, ParameterDefinition>& parameters() const { return parameters_; }
  const std::vector<std::unique_ptr<ResourceDeclaration>>& resources() const { return resources_; }

 private:
  explicit Template(json::value document) : document_(std::move(document)) {}
  Result<void> read();
  Result<void> readSchema(const json::object& root);
  Result<void> readParameters(const json::object& root);
  Result<void> readFunctions(const json::object& root);
  Result<void> readResources(const json::object& root);
  Result<void> addResource(const json::value& value, const std::string& symbol, const std::string& path,
                           const ResourceDeclaration* parent);

  const json::value document_;
  Level level_ = Level::ResourceGroup;
  std::map<std::string, ParameterDefinition> parameters_;  // By name in lower case.
  std::map<std::string, UserFunction> functions_;          // By name in lower case.
  const json::object* variables_ = nullptr;
  const json::object* outputs_ = nullptr;
  std::vector<std::unique_ptr<ResourceDeclaration>> resources_;
};

/// The values of a parameter file, by name as written: {"parameters": {"a": {"value": 1}}}, or the inner
/// object alone. InvalidArgument: not JSON, not this shape, or a reference to a key vault.
Result<json::object> readParameterFile(std::string_view text, const std::string& file);
/// The same of JSON that is read already.
Result<json::object> parameterValues(const json::value& document, std::string_view path);

/// `given` checked against what the template declares: names in lower case. InvalidArgument with one detail
/// for each parameter that is unknown, missing, of another type or outside of what is allowed.
Result<json::object> bindParameters(const Template& declared, const json::object& given);
/// One value against its definition; the message says what is wrong. Empty: nothing.
std::string parameterProblem(const ParameterDefinition& definition, const json::value& value);

}  // namespace berth::arm_template
