#include "cli/json_fields.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>

#include <boost/json/serialize.hpp>

namespace berth::cli {

namespace json = boost::json;

namespace {

/// "45.3", as people write it; JSON's own form of 0.0 is "0E0".
std::string decimal(double value) {
  std::array<char, 32> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.6g", value);
  return {text.data(), static_cast<std::size_t>(std::max(length, 0))};
}

}  // namespace

const json::value& at(const json::value& from, std::string_view path) {
  static const json::value kNull;
  const json::value* here = &from;
  while (!path.empty()) {
    const std::size_t dot = path.find('.');
    const json::object* object = here->if_object();
    here = object == nullptr ? nullptr : object->if_contains(path.substr(0, dot));
    if (here == nullptr) return kNull;
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return *here;
}

const json::array& list(const json::value& from, std::string_view path) {
  static const json::array kNone;
  const json::array* array = at(from, path).if_array();
  return array == nullptr ? kNone : *array;
}

std::string text(const json::value& from, std::string_view path) {
  const json::value& value = at(from, path);
  if (value.is_string()) return printable(value.get_string());
  if (value.is_double()) return decimal(value.get_double());
  if (value.is_number() || value.is_bool()) return json::serialize(value);
  return {};
}

std::optional<std::int64_t> number(const json::value& from, std::string_view path) {
  const json::value& value = at(from, path);
  boost::system::error_code error;
  const auto whole = value.is_number() ? value.to_number<std::int64_t>(error) : 0;
  if (!value.is_number() || error) return std::nullopt;
  return whole;
}

bool flag(const json::value& from, std::string_view path) {
  const json::value& value = at(from, path);
  return value.is_bool() && value.get_bool();
}

std::string printable(std::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    if ((c >= 0 && c < ' ') || c == '\x7f') c = c == '\n' || c == '\t' ? ' ' : '?';
  }
  return clean;
}

}  // namespace berth::cli
