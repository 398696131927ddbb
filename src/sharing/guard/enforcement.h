// What happens when a limited container does not keep to its guard.
#pragma once

#include <cstdint>

namespace berth::sharing {

/// For a limited container with a process that uses its GPU and has not reported in: stop the container, or
/// only tell of it.
enum class Enforcement : std::uint8_t { Stop, Report };

}  // namespace berth::sharing
