// A device with many GPUs and many berths, for measuring decisions on it (design 12: 1,024 GPUs, 16,000
// berths).
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

#include "arbiter/arbiter.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::bench {

inline constexpr int kBerthsPerGpu = 16;
inline constexpr int kMostBerths = 16'000;

/// GPUs with 15 or 16 shares of 5 % on each, up to 16,000 in all.
inline ledger::State busyDevice(int gpus) {
  ledger::State state;
  for (int i = 0; i < gpus; ++i) {
    ledger::Gpu gpu;
    gpu.index = i;
    gpu.uuid = GpuUuid{"GPU-5f3c1a2b-0000-4000-8000-" + std::to_string(100000000000 + i)};
    gpu.pci = PciAddress{"0000:" + std::to_string(i) + ":00.0"};
    gpu.memory = MiB{15360};
    gpu.mode = ledger::Mode::Mps;
    gpu.owner.kind = ledger::OwnerKind::Local;
    state.gpus.push_back(gpu);
  }
  const int berths = std::min(gpus * kBerthsPerGpu, kMostBerths);
  for (int i = 0; i < berths; ++i) {
    ledger::Berth berth;
    berth.id = i + 1;
    berth.gpu = state.gpus[static_cast<std::size_t>(i % gpus)].uuid;
    berth.holder = {ledger::HolderKind::Container, "workload-" + std::to_string(i) + "/0/main"};
    berth.compute = Percent{5};
    berth.memory = MiB{500};
    state.berths.push_back(berth);
  }
  state.next_berth = berths + 1;
  return state;
}

/// One more share, which fits.
inline arbiter::Request shareClaim() {
  arbiter::ContainerClaim claim;
  claim.holder = {ledger::HolderKind::Container, "newcomer/0/main"};
  claim.compute = Percent{10};
  claim.memory = MiB{1024};
  return arbiter::ClaimContainers{{claim}};
}

}  // namespace berth::bench
