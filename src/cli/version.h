// The version of this program, from the build.
#pragma once

#include <string_view>

namespace berth::cli {

inline constexpr std::string_view kVersion = BERTH_CLI_VERSION;

}  // namespace berth::cli
