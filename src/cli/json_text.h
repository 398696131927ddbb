// The API's JSON as people read it: indented JSON, or YAML.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

namespace berth::cli {

/// Two blanks of indent, keys in the API's order, a line end at the end.
std::string prettyJson(const boost::json::value& value);

/// Block style; a string that YAML would read as something else is quoted.
std::string yamlText(const boost::json::value& value);

}  // namespace berth::cli
