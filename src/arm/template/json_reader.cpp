#include "arm/template/json_reader.h"

#include <algorithm>

#include <boost/json.hpp>

#include "arm/template/limits.h"

namespace berth::arm_template {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// "12:5" of the byte at `offset`; a column counts bytes.
std::string lineAndColumn(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto lines = std::ranges::count(before, '\n');
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0.
  return std::to_string(lines + 1) + ":" + std::to_string(before.size() - line_start + 1);
}

Error malformed(const std::string& message) {
  return Error{ErrorCode::InvalidArgument, message, "InvalidTemplate", {}};
}

}  // namespace

Result<json::value> readJson(std::string_view text, const std::string& file) {
  if (text.size() > kMaxTemplateBytes) {
    return fail(malformed(file + ": larger than " + std::to_string(kMaxTemplateBytes) + " bytes"));
  }
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  json::parse_options options;
  options.allow_comments = true;
  options.allow_trailing_commas = true;
  options.max_depth = kMaxDepth;
  json::stream_parser parser({}, options);
  boost::system::error_code error;
  const std::size_t used = parser.write_some(text.data(), text.size(), error);
  if (!error && used == text.size()) parser.finish(error);
  // The parser takes an end within a comment for a good one and has no value then.
  if (!error && !parser.done()) error = json::make_error_code(json::error::incomplete);
  if (error) return fail(malformed(file + ":" + lineAndColumn(text, used) + ": " + error.message()));
  // After the value only blanks and comments may stand; the parser has taken those with it.
  if (used < text.size()) {
    return fail(malformed(file + ":" + lineAndColumn(text, used) + ": there is more after the JSON value"));
  }
  return parser.release();
}

bool equalsIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

const json::value* find(const json::object& object, std::string_view key) {
  if (const json::value* exact = object.if_contains(key)) return exact;
  for (const json::key_value_pair& each : object) {
    if (equalsIgnoringCase(each.key(), key)) return &each.value();
  }
  return nullptr;
}

const json::value* find(const json::value& value, std::string_view key) {
  const json::object* object = value.if_object();
  return object == nullptr ? nullptr : find(*object, key);
}

std::string_view kindOf(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
      return "an integer";
    case json::kind::double_:
      return "a number with a fraction";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
  }
  return "a value";
}

std::string member(std::string_view path, std::string_view key) {
  std::string text(path);
  if (!text.empty()) text += '.';
  return text.append(key);
}

std::string element(std::string_view path, std::size_t index) {
  return std::string(path) + "[" + std::to_string(index) + "]";
}

Error invalidTemplate(std::string_view path, const std::string& message) {
  const std::string place = path.empty() ? "the template" : std::string(path);
  return Error{ErrorCode::InvalidArgument, place + ": " + message, "InvalidTemplate", {{place, message, {}}}};
}

}  // namespace berth::arm_template
