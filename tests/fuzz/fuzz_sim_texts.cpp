// Property: whatever the environment of a process, or the command line of berth-sim, says about GPUs and
// limits, it is passed over, refused or names GPUs that there are, none of them twice.
//
// Input: one text, read as each of them.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "engine/mps_settings.h"
#include "engine/session.h"
#include "engine/state_folder.h"
#include "engine/visibility.h"

namespace {

using namespace berth::sim;  // NOLINT(google-build-using-namespace): a program, not a header

void require(bool holds) {
  if (!holds) std::abort();
}

std::vector<Profile> profiles() {
  std::vector<Profile> all(2);
  all[0].key = "t4";
  all[1].key = "a2";
  return all;
}

void checkPlaces(std::vector<std::size_t> places, std::size_t gpus) {
  std::ranges::sort(places);
  require(std::ranges::adjacent_find(places) == places.end());
  require(places.empty() || places.back() < gpus);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<Profile> kProfiles = profiles();
  static const std::array<GpuName, 3> kGpus{GpuName{0, "GPU-aaaa"}, GpuName{1, "GPU-aabb"},
                                            GpuName{2, "GPU-cccc"}};
  constexpr std::uint64_t kMostBytes = 1ULL << 50U;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto gpus = parseGpuSpec(text, kProfiles)) require(!gpus->empty() && gpus->size() <= kMaxGpus);
  checkPlaces(nvidiaVisible(kGpus, text), kGpus.size());
  checkPlaces(cudaVisible(kGpus, text), kGpus.size());
  if (const auto percent = parseThreadPercent(text)) require(*percent >= 1 && *percent <= 100);
  if (const auto limit = parseMemoryLimit(text)) require(*limit >= 1 && *limit <= kMostBytes);
  if (const auto limit = memoryLimitFor(text, 0, kGpus[0].uuid)) require(*limit >= 1 && *limit <= kMostBytes);
  return 0;
}
