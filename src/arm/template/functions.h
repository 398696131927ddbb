// The functions whose result follows from their arguments alone. Those that look at the template or its
// deployment are the evaluator's.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "arm/template/json_reader.h"
#include "arm/template/scope.h"
#include "base/error.h"

namespace berth::arm_template {

/// The evaluated arguments of one call. The getters fail with "argument 2 must be ..., not ...".
class Arguments {
 public:
  explicit Arguments(std::vector<json::value> values) : values_(std::move(values)) {}

  std::size_t size() const { return values_.size(); }
  const json::value& operator[](std::size_t i) const { return values_[i]; }
  std::vector<json::value>& values() { return values_; }
  const std::vector<json::value>& values() const { return values_; }

  Result<std::string> text(std::size_t i) const;
  Result<std::int64_t> integer(std::size_t i) const;
  Result<bool> boolean(std::size_t i) const;
  Result<json::array> array(std::size_t i) const;
  Result<json::object> object(std::size_t i) const;
  Error wrong(std::size_t i, std::string_view wanted) const;

 private:
  std::vector<json::value> values_;
};

using Function = Result<json::value> (*)(Arguments& args, const Surroundings& around);

struct FunctionEntry {
  std::string_view name;
  std::size_t least;  // Arguments.
  std::size_t most;
  Function function;
};
inline constexpr std::size_t kAnyNumber = static_cast<std::size_t>(-1);

/// The entry of that name, whose case does not matter; null when there is none.
const FunctionEntry* findFunction(std::string_view name);

std::span<const FunctionEntry> textFunctions();
std::span<const FunctionEntry> collectionFunctions();
std::span<const FunctionEntry> numberFunctions();
std::span<const FunctionEntry> dateFunctions();
std::span<const FunctionEntry> resourceFunctions();

/// What format() and string() make of a value: strings as they are, True and False, everything else as JSON.
std::string asText(const json::value& value);
/// Equal in kind and content; an integer equals the same integer however it is stored.
bool same(const json::value& a, const json::value& b);
/// Memory a value takes, about.
std::size_t sizeOf(const json::value& value);
/// The characters (code points) of UTF-8 text; a byte that is none counts as one.
std::vector<std::string_view> characters(std::string_view text);

/// InvalidArgument with this message.
Error badCall(const std::string& message);

}  // namespace berth::arm_template
