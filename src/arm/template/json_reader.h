// Templates and parameter files as JSON: with comments and byte-order marks, as people have them, and with
// property names that do not differ by case alone.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "base/error.h"

namespace berth::arm_template {

namespace json = boost::json;

/// One JSON value within the limits. Comments of both kinds, trailing commas and a UTF-8 byte-order mark are
/// taken. InvalidArgument: "FILE:LINE:COLUMN: ...", with the reason InvalidTemplate.
Result<json::value> readJson(std::string_view text, const std::string& file);

/// The value of `key`, whose case does not matter; null when there is none.
const json::value* find(const json::object& object, std::string_view key);
/// The same for a value that may be no object.
const json::value* find(const json::value& value, std::string_view key);

/// "a string", "an object": what kind of value it is, for messages.
std::string_view kindOf(const json::value& value);

/// The path of a member or element below `path`: "resources[0].name".
std::string member(std::string_view path, std::string_view key);
std::string element(std::string_view path, std::size_t index);

/// Compares without regard to the case of ASCII letters.
bool equalsIgnoringCase(std::string_view a, std::string_view b);

/// InvalidArgument with the reason InvalidTemplate and the place in `details`.
Error invalidTemplate(std::string_view path, const std::string& message);

}  // namespace berth::arm_template
