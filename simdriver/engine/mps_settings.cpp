#include "engine/mps_settings.h"

#include <algorithm>

#include "base/text.h"

namespace berth::sim {
namespace {

constexpr std::uint64_t kLargestLimit = 1ULL << 50U;

std::uint64_t unitOf(char suffix) {
  switch (suffix) {
    case 'K':
    case 'k':
      return 1ULL << 10U;
    case 'M':
    case 'm':
      return 1ULL << 20U;
    case 'G':
    case 'g':
      return 1ULL << 30U;
    default:
      return 0;
  }
}

}  // namespace

std::optional<std::uint32_t> parseThreadPercent(std::string_view text) {
  text = trim(text);
  const std::size_t dot = text.find('.');
  if (dot != std::string_view::npos && !parseWholeNumber(text.substr(dot + 1))) return std::nullopt;
  const auto whole = parseWholeNumber(text.substr(0, dot));
  if (!whole || *whole < 1 || *whole > 100) return std::nullopt;
  return static_cast<std::uint32_t>(*whole);
}

std::optional<std::uint64_t> parseMemoryLimit(std::string_view text) {
  text = trim(text);
  if (text.empty()) return std::nullopt;
  std::uint64_t unit = unitOf(text.back());
  if (unit != 0) text.remove_suffix(1);
  unit = std::max<std::uint64_t>(unit, 1);
  const auto count = parseWholeNumber(text);
  if (!count || *count < 1 || static_cast<std::uint64_t>(*count) > kLargestLimit / unit) return std::nullopt;
  return static_cast<std::uint64_t>(*count) * unit;
}

std::optional<std::uint64_t> memoryLimitFor(std::string_view list, std::uint32_t index,
                                            std::string_view uuid) {
  for (const auto& entry : split(list, ',')) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos) continue;
    const auto device = trim(std::string_view(entry).substr(0, equals));
    const bool ours = device == uuid || parseWholeNumber(device) == std::int64_t{index};
    if (!ours) continue;
    if (auto limit = parseMemoryLimit(std::string_view(entry).substr(equals + 1))) return limit;
  }
  return std::nullopt;
}

std::uint32_t lowerPercent(std::uint32_t server, std::optional<std::uint32_t> client) {
  return std::min(server == 0 ? 100 : server, client.value_or(100));
}

std::uint64_t lowerLimit(std::uint64_t server, std::optional<std::uint64_t> client) {
  if (!client) return server;
  return server == 0 ? *client : std::min(server, *client);
}

}  // namespace berth::sim
