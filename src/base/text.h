// Small, strict text helpers: what the standard library lacks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth {

/// The whole of `text` as a decimal number without sign, blanks or leading '+'; nothing else is one.
/// Values past 2^63-1 are not numbers either.
std::optional<std::int64_t> parseWholeNumber(std::string_view text);

/// `text` cut at every `separator`; "a,,b" has three parts, "" has one, empty.
std::vector<std::string> split(std::string_view text, char separator);

/// `text` without blanks, tabs and line ends at both sides.
std::string_view trim(std::string_view text);

std::string join(const std::vector<std::string>& parts, std::string_view separator);

std::string toLower(std::string_view text);

/// True for a DNS label (RFC 1123): 1 to 63 of a-z, 0-9 and '-', not at the ends. Names of workloads and
/// reservations are such labels, or up to 253 characters of them joined by dots.
bool isDnsName(std::string_view text);

}  // namespace berth
