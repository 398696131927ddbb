// From a template's values, with expressions in them, to plain values.
//
// Parameters and variables are evaluated when first asked for and then remembered; what asks for itself is an
// error that names the circle. Errors name the JSON path and, within an expression, the column.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "arm/template/expression.h"
#include "arm/template/functions.h"
#include "arm/template/scope.h"
#include "arm/template/template.h"

namespace berth::arm_template {

/// One template with its parameters, as expressions see it. One thread at a time.
class TemplateScope {
 public:
  /// `given` comes from bindParameters. `budget` is shared with the templates inside.
  TemplateScope(std::shared_ptr<const Template> declared, const json::object& given, Surroundings around,
                std::shared_ptr<Budget> budget);

  /// Evaluates every parameter's default and checks it like a given value.
  Result<void> settleParameters();

  const Template& declared() const { return *declared_; }
  const Surroundings& around() const { return around_; }
  Surroundings& around() { return around_; }
  const std::shared_ptr<Budget>& budget() const { return budget_; }

 private:
  friend class Evaluator;
  struct Slot {
    std::optional<json::value> value;
    bool busy = false;
  };

  std::shared_ptr<const Template> declared_;
  Surroundings around_;
  std::shared_ptr<Budget> budget_;
  std::map<std::string, Slot> parameters_;  // By name in lower case.
  std::map<std::string, Slot> variables_;   // By name in lower case.
};

/// Evaluates in one place of one template. Cheap to make. One thread at a time.
class Evaluator {
 public:
  explicit Evaluator(TemplateScope& scope, CopyFrames frames = {}, Runtime* runtime = nullptr)
      : scope_(scope), frames_(std::move(frames)), runtime_(runtime) {}

  /// The value with every expression in it evaluated and every "copy" list in an object carried out.
  Result<json::value> evaluate(const json::value& value, const std::string& path);
  /// The same where a string must come out.
  Result<std::string> evaluateText(const json::value& value, const std::string& path);
  /// One parsed expression. The error has a column and no path.
  Result<json::value> evaluate(const Expression& expression);

 private:
  enum class Place { Anywhere, ParameterDefault, UserFunction };
  using Named = std::vector<std::pair<std::string, json::value>>;

  Result<json::value> text(const std::string& text, const std::string& path);
  Result<json::value> array(const json::array& array, const std::string& path);
  Result<json::value> object(const json::object& object, const std::string& path);
  Result<void> copyInto(json::object& made, const json::value& loops, const std::string& path);
  Result<json::value> copyOne(const json::object& loop, const std::string& name, const std::string& path);

  Result<json::value> call(const Expression& call);
  Result<json::value> property(const Expression& expression);
  Result<json::value> index(const Expression& expression);
  std::optional<Result<json::value>> special(const Expression& call, const std::string& name);
  std::optional<Result<json::value>> withLambda(const Expression& call, const std::string& name);
  Result<json::value> builtIn(const Expression& call);
  Result<json::value> userFunction(const Expression& call, const UserFunction& function);
  Result<Arguments> arguments(const Expression& call, std::size_t least, std::size_t most);

  Result<json::value> parameter(const Expression& call);
  Result<json::value> variable(const Expression& call);
  Result<json::value> copyIndex(const Expression& call);
  Result<json::value> choose(const Expression& call);
  Result<json::value> allOrAny(const Expression& call, bool all);
  Result<json::value> coalesce(const Expression& call);
  Result<json::value> lambdaVariable(const Expression& call);
  Result<json::value> reference(const Expression& call);
  Result<json::value> list(const Expression& call);
  Result<json::value> applied(const Expression& lambda, std::vector<json::value> values);
  Result<json::value> mapped(const Expression& call);
  Result<json::value> filtered(const Expression& call);
  Result<json::value> reduced(const Expression& call);
  Result<json::value> sorted(const Expression& call);
  Result<json::value> toObject(const Expression& call);
  Result<json::value> groupedBy(const Expression& call);
  Result<json::value> mappedValues(const Expression& call);

  Result<json::value> parameterValue(const std::string& name);
  Result<json::value> variableValue(const std::string& name);

  TemplateScope& scope_;
  CopyFrames frames_;
  Runtime* runtime_;
  Place place_ = Place::Anywhere;
  const json::object* function_arguments_ = nullptr;  // Of the user function that is at work.
  Named lambda_variables_;
  std::size_t depth_ = 0;

  friend class TemplateScope;
  friend class Deeper;
};

}  // namespace berth::arm_template
