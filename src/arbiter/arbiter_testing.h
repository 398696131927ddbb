// The small language the arbiter's tests are written in: a device, steps on it, and what came of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "arbiter/arbiter.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter::testing {

inline constexpr std::int64_t kT4Memory = 15360;

inline ledger::State device(int gpus) {
  ledger::State state;
  for (int i = 0; i < gpus; ++i) {
    ledger::Gpu gpu;
    gpu.index = i;
    gpu.uuid = GpuUuid{"GPU-" + std::to_string(10000000 + i)};
    gpu.pci = PciAddress{"0000:" + std::to_string(1000 + i) + ":00.0"};
    gpu.name = "Tesla T4";
    gpu.memory = MiB{kT4Memory};
    state.gpus.push_back(gpu);
  }
  return state;
}

inline ledger::Holder vm(const std::string& name) { return {ledger::HolderKind::Vm, name}; }
inline ledger::Holder reservation(const std::string& name) { return {ledger::HolderKind::Reservation, name}; }
inline ledger::Holder container(const std::string& name) {
  return {ledger::HolderKind::Container, name + "/0/main"};
}

inline ContainerClaim claimFor(const std::string& name) {
  ContainerClaim claim;
  claim.holder = container(name);
  return claim;
}
inline ContainerClaim whole(const std::string& name, int count = 1) {
  ContainerClaim claim = claimFor(name);
  claim.whole = count;
  return claim;
}
inline ContainerClaim named(const std::string& name, const std::string& gpu) {
  ContainerClaim claim = claimFor(name);
  claim.named = gpu;
  return claim;
}
inline ContainerClaim share(const std::string& name, int compute, std::int64_t memory = 0) {
  ContainerClaim claim = claimFor(name);
  claim.compute = Percent{compute};
  claim.memory = MiB{memory};
  return claim;
}
inline ContainerClaim bestEffort(ContainerClaim claim) {
  claim.best_effort = true;
  return claim;
}

/// A device and its policy; each step decides, applies and checks A1.
struct Bench {
  explicit Bench(int gpus, Arbitration arbitration = Arbitration::Appliance) : state(device(gpus)) {
    policy.arbitration = arbitration;
    policy.capabilities.guard = true;
  }

  Result<Plan> decided(const Request& request) const { return decide(state, request, policy); }

  /// True when granted. A refusal is kept in `refusal`.
  bool step(const Request& request) {
    Result<Plan> plan = decided(request);
    if (!plan) {
      refusal = plan.error();
      return false;
    }
    state = apply(std::move(state), *plan);
    warnings = plan->warnings;
    EXPECT_EQ(violation(state), "");
    return true;
  }

  bool claimVm(const std::string& name, int count = 1) { return step(ClaimWholeGpus{vm(name), count}); }
  bool reserve(const std::string& name, int count = 1) {
    return step(ClaimWholeGpus{reservation(name), count});
  }
  bool enableKubernetes() { return step(EnableKubernetes{}); }
  bool run(const ContainerClaim& claim) { return step(ClaimContainers{{claim}}); }
  bool end(const ledger::Holder& holder) { return step(ReleaseHolder{holder}); }
  bool setMode(int gpu, ledger::Mode mode, bool restart = false) {
    return step(SetMode{state.gpus.at(static_cast<std::size_t>(gpu)).uuid, mode, restart});
  }

  std::string owner(int gpu) const {
    const ledger::Owner& owner = state.gpus.at(static_cast<std::size_t>(gpu)).owner;
    const std::string kind(ledger::name(owner.kind));
    return owner.name.empty() ? kind : kind + " " + owner.name;
  }
  int ownedByKubernetes() const {
    int count = 0;
    for (const ledger::Gpu& gpu : state.gpus) {
      if (gpu.owner.kind == ledger::OwnerKind::Kubernetes) ++count;
    }
    return count;
  }
  /// Indices of the GPUs the holder has berths on, in order of the grants: "0 1".
  std::string gpusOf(const ledger::Holder& holder) const {
    std::string indices;
    for (const ledger::Berth& berth : state.berths) {
      if (berth.holder != holder) continue;
      if (!indices.empty()) indices += " ";
      indices += std::to_string(ledger::findGpu(state, berth.gpu)->index);
    }
    return indices;
  }
  const ledger::Berth& berthOf(const ledger::Holder& holder) const {
    for (const ledger::Berth& berth : state.berths) {
      if (berth.holder == holder) return berth;
    }
    throw std::logic_error("no berth for " + holder.name);
  }

  ledger::State state;
  Policy policy;
  Error refusal;
  std::vector<std::string> warnings;
};

}  // namespace berth::arbiter::testing
