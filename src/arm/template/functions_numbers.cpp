// Numbers, booleans and comparisons. Integers are of 64 bits; what does not fit is an error, not another
// number.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include <boost/json.hpp>

#include "arm/template/functions.h"
#include "base/text.h"

namespace berth::arm_template {
namespace {

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();

Error tooLarge() { return badCall("the result does not fit into 64 bits"); }

using Checked = bool (*)(std::int64_t, std::int64_t, std::int64_t*);
bool addChecked(std::int64_t a, std::int64_t b, std::int64_t* out) {
  return __builtin_add_overflow(a, b, out);
}
bool subChecked(std::int64_t a, std::int64_t b, std::int64_t* out) {
  return __builtin_sub_overflow(a, b, out);
}
bool mulChecked(std::int64_t a, std::int64_t b, std::int64_t* out) {
  return __builtin_mul_overflow(a, b, out);
}

template <Checked kOperation>
Result<json::value> arithmetic(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::int64_t a, args.integer(0));
  TRY(const std::int64_t b, args.integer(1));
  std::int64_t result = 0;
  if (kOperation(a, b, &result)) return fail(tooLarge());
  return json::value(result);
}

template <bool kRemainder>
Result<json::value> division(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::int64_t a, args.integer(0));
  TRY(const std::int64_t b, args.integer(1));
  if (b == 0) return fail(badCall("this divides by zero"));
  if (a == kLeast && b == -1) {
    if (kRemainder) return json::value(0);
    return fail(tooLarge());
  }
  return json::value(kRemainder ? a % b : a / b);
}

Result<json::value> toInt(Arguments& args, const Surroundings& /*around*/) {
  if (args[0].is_int64()) return args[0];
  if (const double* number = args[0].if_double()) {
    constexpr double kMost = 9.2e18;
    if (*number < -kMost || *number > kMost) return fail(tooLarge());
    return json::value(static_cast<std::int64_t>(*number));
  }
  TRY(const std::string text, args.text(0));
  const std::string_view digits = trim(text);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty()) {
    return fail(badCall("\"" + text + "\" is not an integer"));
  }
  return json::value(number);
}

Result<json::value> toFloat(Arguments& args, const Surroundings& /*around*/) {
  if (args[0].is_double()) return args[0];
  if (args[0].is_int64()) return json::value(static_cast<double>(args[0].get_int64()));
  TRY(const std::string text, args.text(0));
  TRY(json::value value, readJson(text, "the text"));
  if (value.is_int64()) return json::value(static_cast<double>(value.get_int64()));
  if (value.is_double()) return value;
  return fail(badCall("\"" + text + "\" is not a number"));
}

Result<json::value> toBool(Arguments& args, const Surroundings& /*around*/) {
  if (args[0].is_bool()) return args[0];
  if (args[0].is_int64()) return json::value(args[0].get_int64() != 0);
  TRY(const std::string text, args.text(0));
  const std::string word = toLower(text);
  if (word == "true" || word == "1") return json::value(true);
  if (word == "false" || word == "0") return json::value(false);
  return fail(badCall("\"" + text + "\" is neither true nor false"));
}

Result<json::value> negation(Arguments& args, const Surroundings& /*around*/) {
  TRY(const bool value, args.boolean(0));
  return json::value(!value);
}

Result<json::value> equals(Arguments& args, const Surroundings& /*around*/) {
  return json::value(same(args[0], args[1]));
}

/// -1, 0 or 1 for two integers or two strings.
Result<int> compare(const Arguments& args) {
  if (args[0].is_int64()) {
    TRY(const std::int64_t b, args.integer(1));
    const std::int64_t a = args[0].get_int64();
    return a < b ? -1 : a > b ? 1 : 0;
  }
  if (!args[0].is_string()) return fail(args.wrong(0, "an integer or a string"));
  TRY(const std::string b, args.text(1));
  const int order = std::string_view(args[0].get_string()).compare(b);
  return order < 0 ? -1 : order > 0 ? 1 : 0;
}

using Accepts = bool (*)(int);
bool isLess(int order) { return order < 0; }
bool isLessOrEqual(int order) { return order <= 0; }
bool isGreater(int order) { return order > 0; }
bool isGreaterOrEqual(int order) { return order >= 0; }

template <Accepts kAccepts>
Result<json::value> comparison(Arguments& args, const Surroundings& /*around*/) {
  TRY(const int order, compare(args));
  return json::value(kAccepts(order));
}

template <bool kMost>
Result<json::value> extreme(Arguments& args, const Surroundings& /*around*/) {
  Arguments numbers(std::vector<json::value>{});
  if (const json::array* array = args[0].if_array(); array != nullptr && args.size() == 1) {
    numbers.values().assign(array->begin(), array->end());
  } else {
    numbers.values() = args.values();
  }
  if (numbers.size() == 0) return fail(badCall("there are no numbers to choose from"));
  TRY(std::int64_t best, numbers.integer(0));
  for (std::size_t i = 1; i < numbers.size(); ++i) {
    TRY(const std::int64_t number, numbers.integer(i));
    best = kMost ? std::max(best, number) : std::min(best, number);
  }
  return json::value(best);
}

Result<json::value> always(Arguments& /*args*/, const Surroundings& /*around*/) { return json::value(true); }
Result<json::value> never(Arguments& /*args*/, const Surroundings& /*around*/) { return json::value(false); }

constexpr std::array<FunctionEntry, 18> kFunctions{{{"add", 2, 2, arithmetic<addChecked>},
                                                    {"sub", 2, 2, arithmetic<subChecked>},
                                                    {"mul", 2, 2, arithmetic<mulChecked>},
                                                    {"div", 2, 2, division<false>},
                                                    {"mod", 2, 2, division<true>},
                                                    {"int", 1, 1, toInt},
                                                    {"float", 1, 1, toFloat},
                                                    {"bool", 1, 1, toBool},
                                                    {"not", 1, 1, negation},
                                                    {"equals", 2, 2, equals},
                                                    {"less", 2, 2, comparison<isLess>},
                                                    {"lessOrEquals", 2, 2, comparison<isLessOrEqual>},
                                                    {"greater", 2, 2, comparison<isGreater>},
                                                    {"greaterOrEquals", 2, 2, comparison<isGreaterOrEqual>},
                                                    {"max", 1, kAnyNumber, extreme<true>},
                                                    {"min", 1, kAnyNumber, extreme<false>},
                                                    {"true", 0, 0, always},
                                                    {"false", 0, 0, never}}};

}  // namespace

std::span<const FunctionEntry> numberFunctions() { return kFunctions; }

}  // namespace berth::arm_template
