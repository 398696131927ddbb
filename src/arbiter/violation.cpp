// What must be true of every state (A1, B13, B14).
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arbiter/arbiter.h"
#include "arbiter/explain.h"
#include "arbiter/occupancy.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Berth;
using ledger::HolderKind;
using ledger::OwnerKind;
using Berths = std::vector<const Berth*>;

constexpr int kMaxPercent = 100;

std::string sumViolation(const ledger::Gpu& gpu, const Berths& berths) {
  GpuUse use;
  for (const Berth* berth : berths) {
    if (berth->compute.value < 0 || berth->compute.value > kMaxPercent || berth->memory.value < 0) {
      return target(gpu) + ": berth " + std::to_string(berth->id) + " has a share outside its range";
    }
    if (berth->memory.value > gpu.memory.value - use.memory && berth->memory.value > 0) {
      return target(gpu) + ": memory shares pass its " + std::to_string(gpu.memory.value) + " MiB";
    }
    addTo(use, *berth);
    if (use.compute > kMaxPercent) return target(gpu) + ": compute shares pass 100 %";
  }
  if (use.wholes > 0 && use.berths > 1) {
    return target(gpu) + ": one berth is the whole GPU, and there are " + std::to_string(use.berths);
  }
  const bool crowded = gpu.mode == ledger::Mode::Exclusive && use.berths > 1;
  return crowded ? target(gpu) + ": several berths in mode exclusive" : "";
}

bool isForVm(const Berth& berth) { return berth.holder.kind != HolderKind::Container; }

/// A GPU without an owner that says who may have berths can still not have both kinds.
std::string mixViolation(const ledger::Gpu& gpu, const Berths& berths) {
  for (const Berth* berth : berths) {
    if (isForVm(*berth) != isForVm(*berths.front())) return target(gpu) + ": a VM and a container hold it";
    if (isForVm(*berth) && !berth->whole) return target(gpu) + ": a VM holds a part of it";
  }
  return "";
}

std::string vmViolation(const ledger::Gpu& gpu, const Berths& berths) {
  if (berths.empty()) return target(gpu) + " is owned by vm " + gpu.owner.name + ", which has no berth on it";
  const ledger::Holder& holder = berths.front()->holder;
  const bool fits = holder.kind != HolderKind::Container && holder.name == gpu.owner.name;
  return fits ? "" : target(gpu) + " is owned by vm " + gpu.owner.name + " and held by " + describe(holder);
}

std::string ownerViolation(const ledger::State& state, const ledger::Gpu& gpu, const Berths& berths) {
  switch (gpu.owner.kind) {
    case OwnerKind::Free:
      if (!berths.empty()) return target(gpu) + " is free and held by " + describe(berths.front()->holder);
      break;
    case OwnerKind::Vm:
      return vmViolation(gpu, berths);
    case OwnerKind::Kubernetes:
      if (!state.kubernetes.enabled) return target(gpu) + " is owned by kubernetes, which is not enabled";
      [[fallthrough]];
    case OwnerKind::Local:
      if (!berths.empty() && isForVm(*berths.front())) {
        return target(gpu) + " is owned by " + std::string(ledger::name(gpu.owner.kind)) + " and held by " +
               describe(berths.front()->holder);
      }
      break;
    case OwnerKind::Quarantined:
    case OwnerKind::Moving:
      break;
  }
  return "";
}

/// Ids ascend and stay below the next one; GPUs are known once.
std::string orderViolation(const ledger::State& state) {
  std::int64_t last = 0;
  for (const Berth& berth : state.berths) {
    if (berth.id <= last) return "berth " + std::to_string(berth.id) + " is out of order";
    last = berth.id;
  }
  if (state.next_berth <= last) return "the next berth's number is used already";
  std::set<int> indices;
  std::set<std::string_view> addresses;
  for (const ledger::Gpu& gpu : state.gpus) {
    if (!indices.insert(gpu.index).second) return "two GPUs have index " + std::to_string(gpu.index);
    const bool is_new = gpu.pci.value.empty() || addresses.insert(gpu.pci.value).second;
    if (!is_new) return "two GPUs have address " + gpu.pci.value;
  }
  return "";
}

/// A loan is of a known GPU, which its VM therefore does not have; loans are in order, one for each GPU.
std::string loanViolation(const ledger::State& state) {
  const ledger::Loan* last = nullptr;
  for (const ledger::Loan& loan : state.loans) {
    if (last != nullptr && !(last->gpu < loan.gpu)) return "the loans are out of order";
    last = &loan;
    const ledger::Gpu* gpu = ledger::findGpu(state, loan.gpu);
    if (gpu == nullptr) return "vm " + loan.vm + " has lent an unknown GPU " + loan.gpu.value;
    if (gpu->owner.kind == OwnerKind::Vm) {
      return target(*gpu) + " is lent by vm " + loan.vm + " and owned by vm " + gpu->owner.name;
    }
  }
  return "";
}

}  // namespace

std::string violation(const ledger::State& state) {
  if (std::string found = orderViolation(state); !found.empty()) return found;
  if (std::string found = loanViolation(state); !found.empty()) return found;
  std::unordered_map<std::string_view, std::size_t> positions;
  for (std::size_t at = 0; at < state.gpus.size(); ++at) {
    const std::string& uuid = state.gpus[at].uuid.value;
    if (!positions.emplace(uuid, at).second) return "two GPUs have UUID " + uuid;
  }
  std::vector<Berths> berths(state.gpus.size());
  for (const Berth& berth : state.berths) {
    const auto found = positions.find(berth.gpu.value);
    if (found == positions.end()) {
      return "berth " + std::to_string(berth.id) + " is on an unknown GPU " + berth.gpu.value;
    }
    berths[found->second].push_back(&berth);
  }
  for (std::size_t at = 0; at < state.gpus.size(); ++at) {
    const ledger::Gpu& gpu = state.gpus[at];
    for (std::string found : {sumViolation(gpu, berths[at]), mixViolation(gpu, berths[at]),
                              ownerViolation(state, gpu, berths[at])}) {
      if (!found.empty()) return found;
    }
  }
  return "";
}

}  // namespace berth::arbiter
