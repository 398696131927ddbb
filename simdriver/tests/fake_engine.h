// An engine without a GPU: two devices whose work is done at once. It keeps count of what is reserved, and
// refuses what a GPU of that size would refuse.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/session.h"

namespace berth::sim::testing {

/// What all sessions of a FakeEngine hold; outlives them.
struct FakeGpu {
  Profile profile;
  std::uint64_t reserved = 0;
  std::uint64_t sessions = 0;
};

FakeGpu smallGpu();

/// Engine over `gpus`, which outlive it. Not for several threads.
std::unique_ptr<Engine> makeFakeEngine(std::vector<FakeGpu>& gpus);

}  // namespace berth::sim::testing
