#include "arbiter/explain.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arbiter/decision.h"
#include "arbiter/reasons.h"
#include "base/error.h"
#include "base/text.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

using ledger::Berth;
using ledger::HolderKind;
using Berths = std::vector<const Berth*>;

constexpr std::size_t kNamedHolders = 3;

std::string commandToEnd(const ledger::Holder& holder) {
  switch (holder.kind) {
    case HolderKind::Vm:
      return "berth vm delete " + holder.name;
    case HolderKind::Reservation:
      return "berth unreserve " + holder.name;
    case HolderKind::Container:
      break;
  }
  return "berth workload delete " + holder.name.substr(0, holder.name.find('/'));
}

std::string releaseCommand(const ledger::Gpu& gpu) {
  return "berth kubernetes release " + std::to_string(gpu.index);
}

std::string showCommand(const ledger::Gpu& gpu) { return "berth gpu show " + std::to_string(gpu.index); }

std::string modeCommand(const ledger::Gpu& gpu, std::string_view mode) {
  return "berth gpu mode " + std::to_string(gpu.index) + " " + std::string(mode);
}

/// " by container a/0/c", or "" when nobody is known.
std::string byHolders(const Berths& berths) { return berths.empty() ? "" : " by " + describeHolders(berths); }

std::string reasonText(const std::string& reason) { return reason.empty() ? "" : ": " + reason; }

/// A VM's GPU without a berth on it (only in a damaged state) still names its owner.
ErrorDetail explainVm(const ledger::Gpu& gpu, const Berths& berths) {
  if (berths.empty())
    return {target(gpu), "held by vm " + gpu.owner.name, "berth vm delete " + gpu.owner.name};
  return {target(gpu), "held" + byHolders(berths), remedyFor(berths)};
}

ErrorDetail explainBusyKubernetes(const Decision& decision, const ledger::Gpu& gpu, const Berths& berths) {
  std::string remedy = remedyFor(berths);
  if (decision.policy().arbitration == Arbitration::Appliance) remedy += " && " + releaseCommand(gpu);
  return {target(gpu), "owned by kubernetes and used" + byHolders(berths), std::move(remedy)};
}

/// Whoever else wants the GPU: it comes free when its VM gives the loan up.
ErrorDetail explainLoan(const Decision& decision, std::size_t at, const std::string& what) {
  const ledger::Loan* loan = decision.loan(at);
  const std::string vm = loan == nullptr ? "" : loan->vm;
  return {target(decision.gpu(at)), what + vm, "berth vm hold " + vm + " release"};
}

ErrorDetail explainCluster(const ledger::Gpu& gpu) {
  return {target(gpu), "owned by kubernetes, and a kubelet is attached: the cluster gives it out",
          "kubectl apply -f FILE, or " + releaseCommand(gpu)};
}

ErrorDetail explainCompute(const Decision& decision, std::size_t at, const Berths& berths) {
  const int left = 100 - decision.use(at).compute;
  return {target(decision.gpu(at)), std::to_string(left) + " % of compute left; used" + byHolders(berths),
          remedyFor(berths)};
}

ErrorDetail explainMemory(const Decision& decision, std::size_t at, const Berths& berths) {
  const ledger::Gpu& gpu = decision.gpu(at);
  const auto left = gpu.memory.value - decision.use(at).memory;
  std::string message = std::to_string(left) + " of " + std::to_string(gpu.memory.value) + " MiB left";
  if (!berths.empty()) message += "; used" + byHolders(berths);
  return {target(gpu), std::move(message), remedyFor(berths)};
}

ErrorDetail explainUnenforceable(const ledger::Gpu& gpu) {
  const std::string mode(ledger::name(gpu.mode));
  return {target(gpu), "nothing on this box enforces the limit in mode " + mode,
          gpu.mode == ledger::Mode::Mps ? "berth.dev/enforcement: best-effort" : modeCommand(gpu, "mps")};
}

}  // namespace

std::string_view reasonFor(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::Vm:
      return reasons::kGpuOwnedByVm;
    case Obstacle::KubernetesIdle:
      return reasons::kGpuOwnedByKubernetes;
    case Obstacle::Cluster:
      return reasons::kGpuOwnedByCluster;
    case Obstacle::Local:
      return reasons::kGpuOwnedByLocal;
    case Obstacle::Quarantined:
      return reasons::kGpuQuarantined;
    case Obstacle::Moving:
      return reasons::kGpuMoving;
    case Obstacle::Unhealthy:
      return reasons::kGpuUnhealthy;
    case Obstacle::Lost:
      return reasons::kGpuLost;
    case Obstacle::HeldWhole:
    case Obstacle::ExclusiveMode:
      return reasons::kGpuExclusive;
    case Obstacle::Shared:
    case Obstacle::KubernetesBusy:
      return reasons::kGpuInUse;
    case Obstacle::Compute:
      return reasons::kComputeExceeded;
    case Obstacle::Memory:
      return reasons::kMemoryExceeded;
    case Obstacle::MpsClients:
      return reasons::kMpsClientLimit;
    case Obstacle::MpsUser:
      return reasons::kMpsUser;
    case Obstacle::Unenforceable:
      return reasons::kUnenforceable;
    case Obstacle::Lent:
      return reasons::kGpuLent;
    case Obstacle::LentInUse:
      return reasons::kGpuInUse;
    case Obstacle::Recalled:
      return reasons::kGpuRecalled;
    case Obstacle::None:
      break;
  }
  return reasons::kInsufficientGpu;
}

std::string target(const ledger::Gpu& gpu) { return "GPU " + std::to_string(gpu.index); }

std::string describe(const ledger::Holder& holder) {
  return std::string(ledger::name(holder.kind)) + " " + holder.name;
}

std::string describeHolders(const Berths& berths) {
  std::vector<std::string> names;
  for (const Berth* berth : berths) {
    if (names.size() == kNamedHolders) break;
    names.push_back(describe(berth->holder));
  }
  if (berths.size() > kNamedHolders) {
    return join(names, ", ") + " and " + std::to_string(berths.size() - kNamedHolders) + " more";
  }
  return join(names, " and ");
}

std::string remedyFor(const Berths& berths) {
  std::vector<std::string> commands;
  for (const Berth* berth : berths) {
    std::string command = commandToEnd(berth->holder);
    if (std::ranges::find(commands, command) == commands.end()) commands.push_back(std::move(command));
  }
  return join(commands, " && ");
}

std::string describeShare(Percent compute, MiB memory) {
  std::vector<std::string> parts;
  if (compute.value > 0) parts.push_back(std::to_string(compute.value) + " % compute");
  if (memory.value > 0) parts.push_back(std::to_string(memory.value) + " MiB of memory");
  return parts.empty() ? "a place" : join(parts, " and ");
}

ErrorDetail explain(const Decision& decision, std::size_t at, Obstacle obstacle, const Berths& berths) {
  const ledger::Gpu& gpu = decision.gpu(at);
  switch (obstacle) {
    case Obstacle::None:
      return {target(gpu), "can be had", ""};
    case Obstacle::Vm:
      return explainVm(gpu, berths);
    case Obstacle::KubernetesIdle:
      return {target(gpu), "owned by kubernetes, idle", releaseCommand(gpu)};
    case Obstacle::KubernetesBusy:
      return explainBusyKubernetes(decision, gpu, berths);
    case Obstacle::Cluster:
      return explainCluster(gpu);
    case Obstacle::Local:
    case Obstacle::Shared:
      return {target(gpu), "used" + byHolders(berths), remedyFor(berths)};
    case Obstacle::Quarantined:
      return {target(gpu), "quarantined" + reasonText(gpu.owner.name), showCommand(gpu)};
    case Obstacle::Moving:
      return {target(gpu), "changing hands" + reasonText(gpu.owner.name), "berth operation list"};
    case Obstacle::Unhealthy:
      return {target(gpu), "unhealthy" + reasonText(gpu.health_reason), showCommand(gpu)};
    case Obstacle::Lost:
      return {target(gpu), "lost" + reasonText(gpu.health_reason), showCommand(gpu)};
    case Obstacle::HeldWhole:
      return {target(gpu), "held whole" + byHolders(berths), remedyFor(berths)};
    case Obstacle::ExclusiveMode:
      return {target(gpu), "in mode exclusive: only whole-GPU claims are served",
              modeCommand(gpu, "timeslice")};
    case Obstacle::Compute:
      return explainCompute(decision, at, berths);
    case Obstacle::Memory:
      return explainMemory(decision, at, berths);
    case Obstacle::MpsClients:
      return {target(gpu),
              "has " + std::to_string(berths.size()) + " MPS clients, of at most " +
                  std::to_string(decision.policy().mps_client_limit),
              remedyFor(berths)};
    case Obstacle::MpsUser:
      return {target(gpu), "in mode mps, whose server is root's and takes no other user's programs",
              "run the container as root, or " + modeCommand(gpu, "timeslice")};
    case Obstacle::Unenforceable:
      return explainUnenforceable(gpu);
    case Obstacle::Lent:
      return explainLoan(decision, at, "lent by vm ");
    case Obstacle::LentInUse:
      return {target(gpu), "lent, and used" + byHolders(berths), remedyFor(berths)};
    case Obstacle::Recalled:
      return explainLoan(decision, at, "called back by vm ");
  }
  return {target(gpu), "", ""};
}

Error refuseAll(const Decision& decision, std::string_view reason, std::string message,
                const std::vector<Obstacle>& obstacles) {
  Error error{ErrorCode::Refused, std::move(message), std::string(reason), {}};
  const std::vector<Berths> berths = decision.berthsByGpu();
  for (std::size_t at = 0; at < obstacles.size(); ++at) {
    error.details.push_back(explain(decision, at, obstacles[at], berths[at]));
  }
  return error;
}

Error refuseOne(const Decision& decision, std::size_t at, Obstacle obstacle, std::string message) {
  ErrorDetail detail = explain(decision, at, obstacle, decision.berthsByGpu()[at]);
  message += ": " + detail.target + " is " + detail.message;
  return Error{ErrorCode::Refused, std::move(message), std::string(reasonFor(obstacle)), {std::move(detail)}};
}

Error refuseUnknown(const Decision& decision, std::string_view asked_for) {
  Error error{ErrorCode::Refused,
              "no GPU '" + std::string(asked_for) + "' on this device",
              std::string(reasons::kUnknownGpu),
              {}};
  for (const ledger::Gpu& gpu : decision.state().gpus) {
    error.details.push_back({target(gpu), gpu.name + ", " + gpu.uuid.value + ", " + gpu.pci.value, ""});
  }
  return error;
}

}  // namespace berth::arbiter
