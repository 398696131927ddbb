// Property: parseProfiles never crashes, and every profile it accepts is one that a state file may hold.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/profile.h"
#include "engine/state_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto profiles =
      berth::sim::parseProfiles(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!profiles) return 0;
  for (const auto& profile : *profiles) {
    const auto again = berth::sim::toProfile(berth::sim::toRecord(profile));
    if (!berth::sim::checkProfile(again) || again.key != profile.key || again.name != profile.name) {
      std::abort();
    }
  }
  return 0;
}
