// application/x-www-form-urlencoded, as browsers and OAuth 2 clients send it.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace berth::auth {

inline constexpr std::size_t kMaxFormFields = 64;

/// The fields, decoded. InvalidArgument: a percent sign without two hex digits, a field twice, or more than
/// kMaxFormFields.
Result<std::map<std::string, std::string>> parseForm(std::string_view body);

}  // namespace berth::auth
