#include "manifest/quantity.h"

#include <array>
#include <cstddef>
#include <limits>
#include <utility>

#include <boost/multiprecision/cpp_int.hpp>

#include "base/text.h"

namespace berth::manifest {
namespace {

using Wide = boost::multiprecision::int512_t;

constexpr std::size_t kMaxDigits = 18;
constexpr std::int64_t kMaxExponent = 18;
constexpr int kNanoDigits = 9;

Wide power(int base, std::int64_t exponent) {
  Wide result = 1;
  for (std::int64_t i = 0; i < exponent; ++i) result *= base;
  return result;
}

// A factor as a ratio: 10^-3 has the divisor 1000.
struct Factor {
  Wide times = 1;
  Wide divisor = 1;
};

std::optional<Factor> exponentFactor(std::string_view digits) {
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  const auto exponent = parseWholeNumber(digits);
  if (!exponent || *exponent > kMaxExponent) return std::nullopt;
  const Wide value = power(10, *exponent);
  return negative ? Factor{1, value} : Factor{value, 1};
}

std::optional<Factor> suffixFactor(std::string_view suffix) {
  constexpr std::array<std::string_view, 6> kBinary = {"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  constexpr std::array<std::string_view, 7> kDecimal = {"", "k", "M", "G", "T", "P", "E"};
  constexpr std::array<std::string_view, 4> kSmall = {"", "m", "u", "n"};
  for (std::size_t i = 0; i < kBinary.size(); ++i) {
    if (suffix == kBinary[i]) return Factor{power(1024, static_cast<std::int64_t>(i) + 1), 1};
  }
  for (std::size_t i = 0; i < kDecimal.size(); ++i) {
    if (suffix == kDecimal[i]) return Factor{power(1000, static_cast<std::int64_t>(i)), 1};
  }
  for (std::size_t i = 1; i < kSmall.size(); ++i) {
    if (suffix == kSmall[i]) return Factor{1, power(1000, static_cast<std::int64_t>(i))};
  }
  if (suffix.starts_with('e') || suffix.starts_with('E')) return exponentFactor(suffix.substr(1));
  return std::nullopt;
}

Wide dividedUp(const Wide& value, const Wide& divisor) { return (value + divisor - 1) / divisor; }

}  // namespace

std::optional<Quantity> parseQuantity(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::string digits;
  std::int64_t after_point = 0;
  std::size_t at = 0;
  bool point = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '.' && !point) {
      point = true;
    } else if (c >= '0' && c <= '9') {
      digits += c;
      if (point) ++after_point;
    } else {
      break;
    }
  }
  if (digits.empty() || digits.size() > kMaxDigits) return std::nullopt;
  const auto factor = suffixFactor(text.substr(at));
  if (!factor) return std::nullopt;
  // In units of 10^-9, the finest that Kubernetes keeps.
  const Wide nano = dividedUp(Wide(*parseWholeNumber(digits)) * factor->times * power(10, kNanoDigits),
                              factor->divisor * power(10, after_point));
  const Wide thousandths = dividedUp(nano, power(10, kNanoDigits - 3));
  if (thousandths > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  const Wide unit = power(10, kNanoDigits);
  const Wide whole = dividedUp(nano, unit);
  return Quantity{static_cast<std::int64_t>(whole), static_cast<std::int64_t>(thousandths),
                  whole * unit == nano};
}

}  // namespace berth::manifest
