// What an Error looks like outside of the program: the HTTP status it answers with, the status `berth` exits
// with, and its JSON. One table; a new ErrorCode is a new row in error_mapping.cpp.
#pragma once

#include <optional>

#include <boost/json/fwd.hpp>

#include "base/error.h"

namespace berth::http {

/// Exit statuses of `berth` (design 10).
enum class ExitStatus : std::uint8_t { Done = 0, Failed = 1, Usage = 2, Refused = 3 };

/// The HTTP status that carries an error of this code.
int httpStatus(ErrorCode code);
/// The status `berth` exits with after an error of this code.
ExitStatus exitStatus(ErrorCode code);

/// {"code", "reason", "message", "details": [{"target", "message", "remedy"}]}.
boost::json::object toJson(const Error& error);
/// The body of an error response: {"error": toJson(error)}.
boost::json::object toErrorBody(const Error& error);

/// The Error that `json` describes: what toJson made, or an object that holds that under "error". nullopt
/// when it is neither; missing strings are empty, an unknown code is Internal.
std::optional<Error> errorFromJson(const boost::json::value& json);

}  // namespace berth::http
