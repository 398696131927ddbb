#include "cli/json_text.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <boost/json.hpp>
#include <yaml-cpp/emitter.h>
#include <yaml-cpp/null.h>

#include "base/text.h"

namespace berth::cli {
namespace {

namespace json = boost::json;

// The API nests a handful of levels; the JSON parser stops at 32.
constexpr std::size_t kIndent = 2;

void print(const json::value& value, std::size_t indent, std::string& out);

void lineAt(std::size_t indent, std::string& out) { out.append("\n").append(indent, ' '); }

void print(const json::object& object, std::size_t indent, std::string& out) {
  std::string_view separator;
  out += '{';
  for (const auto& [key, value] : object) {
    out += separator;
    lineAt(indent + kIndent, out);
    out.append(json::serialize(key)).append(": ");
    print(value, indent + kIndent, out);
    separator = ",";
  }
  if (!object.empty()) lineAt(indent, out);
  out += '}';
}

void print(const json::array& array, std::size_t indent, std::string& out) {
  std::string_view separator;
  out += '[';
  for (const json::value& value : array) {
    out += separator;
    lineAt(indent + kIndent, out);
    print(value, indent + kIndent, out);
    separator = ",";
  }
  if (!array.empty()) lineAt(indent, out);
  out += ']';
}

void print(const json::value& value, std::size_t indent, std::string& out) {
  if (const json::object* object = value.if_object()) return print(*object, indent, out);
  if (const json::array* array = value.if_array()) return print(*array, indent, out);
  out += json::serialize(value);
}

bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// A string YAML cannot take for a number, a date, a boolean, null or syntax.
bool isPlain(std::string_view text) {
  static constexpr std::array<std::string_view, 9> kWords{"true", "false", "null", "yes", "no",
                                                          "on",   "off",   "y",    "n"};
  if (text.empty() || !isLetter(text.front())) return false;
  if (std::find(kWords.begin(), kWords.end(), toLower(text)) != kWords.end()) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return isLetter(c) || (c >= '0' && c <= '9') ||
           std::string_view("-._/").find(c) != std::string_view::npos;
  });
}

void emit(const json::value& value, YAML::Emitter& out) {
  if (const json::object* object = value.if_object()) {
    if (object->empty()) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& [key, item] : *object) {
      out << YAML::Key << std::string(key) << YAML::Value;
      emit(item, out);
    }
    out << YAML::EndMap;
    return;
  }
  if (const json::array* array = value.if_array()) {
    if (array->empty()) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const json::value& item : *array) emit(item, out);
    out << YAML::EndSeq;
    return;
  }
  if (const json::string* string = value.if_string()) {
    if (!isPlain(*string)) out << YAML::DoubleQuoted;
    out << std::string(*string);
    return;
  }
  if (value.is_null()) {
    out << YAML::Null;
    return;
  }
  out << json::serialize(value);
}

}  // namespace

std::string prettyJson(const json::value& value) {
  std::string out;
  print(value, 0, out);
  return out + "\n";
}

std::string yamlText(const json::value& value) {
  YAML::Emitter out;
  emit(value, out);
  return std::string(out.c_str(), out.size()) + "\n";
}

}  // namespace berth::cli
