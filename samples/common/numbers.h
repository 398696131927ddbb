// Numbers on the samples' command lines.
#pragma once

#include <charconv>
#include <string_view>
#include <system_error>

namespace berth::samples {

/// A number from `least` to `most` and nothing else, or false.
template <typename Number>
bool readNumber(std::string_view text, Number least, Number most, Number& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() && value >= least && value <= most;
}

}  // namespace berth::samples
