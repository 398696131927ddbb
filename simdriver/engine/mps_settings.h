// The texts MPS takes its limits in: percentages and per-device memory limits, from the environment of
// clients and from the control program's commands (peers.md 3.3).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace berth::sim {

/// "20" or "20.0": 1 to 100, a fraction is cut off. Nothing else is a percentage.
std::optional<std::uint32_t> parseThreadPercent(std::string_view text);

/// "4G", "512M", "1024K" or bytes; 1 byte to 2^50.
std::optional<std::uint64_t> parseMemoryLimit(std::string_view text);

/// The limit that a list like "0=4G,1=512M" or "GPU-...=1G" states for a device, or nothing. As the driver
/// does, entries that are not understood are passed over.
std::optional<std::uint64_t> memoryLimitFor(std::string_view list, std::uint32_t index,
                                            std::string_view uuid);

/// What a client gets of what the server allows (0: no limit): its own wish can only lower it.
std::uint32_t lowerPercent(std::uint32_t server, std::optional<std::uint32_t> client);
std::uint64_t lowerLimit(std::uint64_t server, std::optional<std::uint64_t> client);

}  // namespace berth::sim
