#include "service/conductor.h"

#include <algorithm>

#include "service/vm_progress.h"

namespace berth::service {
namespace {

constexpr int kWhole = 100;

const WorkloadRecord* find(const Book& book, const std::string& name) {
  const auto found = book.workloads.find(name);
  return found == book.workloads.end() ? nullptr : found->second.get();
}

/// Whatever the rules have made of it since: an exit is recorded, and it never ran.
bool couldNotStart(const ContainerRecord& c) {
  return c.attempt > 0 && c.exit_code && c.started == WallTime{};
}

/// Started at least once, or never to be.
bool settled(const ContainerRecord& c) {
  return c.phase == Phase::Running || c.phase == Phase::Exited || c.phase == Phase::Done ||
         c.started != WallTime{};
}

Progress succeeded(std::string message = {}) {
  return {Progress::State::Succeeded, kWhole, std::move(message), {}};
}

/// Anything that was started takes the same way back: gone from the book.
Progress gone(const Operation& operation, const Book& book) {
  for (const std::string& name : operation.targets) {
    if (find(book, name) != nullptr)
      return {Progress::State::Running, operation.percent, "removing " + name, {}};
  }
  if (operation.error) return {Progress::State::Failed, kWhole, operation.message, operation.error};
  return succeeded();
}

std::string waitsFor(const ContainerRecord& c, const Book& book, const SharingLookup& sharing) {
  for (const ledger::Berth& berth : book.state.berths) {
    if (berth.holder.name != c.name) continue;
    const SharingInForce now = sharing(berth.gpu);
    if (!now.ready) return c.name + " waits: " + now.message;
  }
  return "starting " + c.name;
}

Progress starting(const Operation& operation, const Book& book, const SharingLookup& sharing) {
  if (operation.error) return gone(operation, book);
  int total = 0;
  int done = 0;
  std::string message;
  for (const std::string& name : operation.targets) {
    const WorkloadRecord* workload = find(book, name);
    if (workload == nullptr || workload->desired != Desired::Running)
      continue;  // Somebody changed their mind.
    for (const ContainerRecord& c : workload->containers) {
      ++total;
      if (couldNotStart(c)) {
        Error error{
            ErrorCode::Unavailable, c.name + " could not be started: " + c.message, "StartFailed", {}};
        return {Progress::State::Undo, operation.percent, "undoing", std::move(error)};
      }
      if (settled(c)) {
        ++done;
      } else if (message.empty()) {
        message = waitsFor(c, book, sharing);
      }
    }
  }
  if (done == total) return succeeded();
  return {Progress::State::Running, kWhole * done / total, message, {}};
}

Progress stopping(const Operation& operation, const Book& book) {
  for (const std::string& name : operation.targets) {
    const WorkloadRecord* workload = find(book, name);
    if (workload == nullptr || workload->desired == Desired::Running) continue;
    for (const ContainerRecord& c : workload->containers) {
      if (c.phase != Phase::Done) return {Progress::State::Running, 0, "stopping " + c.name, {}};
    }
  }
  return succeeded();
}

/// The first container that runs under another sharing than its GPU's, or waits to be started again.
const ContainerRecord* unsettledOn(const Book& book, const ledger::Gpu& gpu) {
  for (const auto& [name, workload] : book.workloads) {
    if (workload->desired != Desired::Running) continue;
    for (const ContainerRecord& c : workload->containers) {
      const auto here = [&](const ledger::Berth& b) { return b.gpu == gpu.uuid && b.holder.name == c.name; };
      if (std::ranges::none_of(book.state.berths, here)) continue;
      const bool stale = c.sharing && c.sharing->mode != gpu.mode;
      const bool restarting =
          c.phase == Phase::Starting || (c.phase == Phase::Waiting && c.not_before == WallTime{});
      if (stale || restarting) return &c;
    }
  }
  return nullptr;
}

Progress changingMode(const Operation& operation, const Book& book, const SharingLookup& sharing) {
  for (const std::string& target : operation.targets) {
    const ledger::Gpu* gpu = ledger::findGpu(book.state, GpuUuid(target));
    if (gpu == nullptr || gpu->owner.kind == ledger::OwnerKind::Vm || gpu->health == ledger::Health::Lost)
      continue;
    const std::string label = "GPU " + std::to_string(gpu->index);
    const SharingInForce now = sharing(gpu->uuid);
    if (!now.ready) return {Progress::State::Running, 30, label + ": " + now.message, {}};
    if (const ContainerRecord* c = unsettledOn(book, *gpu)) {
      return {Progress::State::Running, 60, label + ": restarting " + c->name, {}};
    }
  }
  return succeeded();
}

/// Where a container of the workload does not have the book's limits yet, or never will as it runs.
std::optional<Progress> limitsNotInForce(const WorkloadRecord& workload, const Book& book,
                                         const SharingLookup& sharing) {
  const std::string prefix = workload.spec.name.value + "/";
  for (const ledger::Berth& berth : book.state.berths) {
    if (!berth.holder.name.starts_with(prefix)) continue;
    const SharingInForce now = sharing(berth.gpu);
    if (now.limits_lost.starts_with(prefix)) {
      const std::string why = now.limits_lost + " was started without the guard of this daemon";
      Error error{
          ErrorCode::Unavailable, why + "; the new limits hold from its next start on", "GuardLost", {}};
      return Progress{Progress::State::Failed, kWhole, why, std::move(error)};
    }
    if (now.limits_behind.starts_with(prefix)) {
      return Progress{Progress::State::Running, 50, "changing the limits of " + now.limits_behind, {}};
    }
  }
  return std::nullopt;
}

/// Until every container of it has the new limits: at once, or by a start that MPS's need.
Progress settingLimits(const Operation& operation, const Book& book, const SharingLookup& sharing) {
  for (const std::string& name : operation.targets) {
    const WorkloadRecord* workload = find(book, name);
    if (workload == nullptr || workload->desired != Desired::Running) continue;
    for (const ContainerRecord& c : workload->containers) {
      const bool outdated = c.sharing && c.sharing->mps_generation == kOutdatedGeneration;
      const bool restarting = c.phase == Phase::Starting ||
                              (c.phase == Phase::Waiting && c.attempt > 0 && c.not_before == WallTime{});
      if (outdated || restarting) return {Progress::State::Running, 50, "restarting " + c.name, {}};
    }
    if (auto progress = limitsNotInForce(*workload, book, sharing)) return *std::move(progress);
  }
  return succeeded();
}

Progress handingOver(const Operation& operation, const Book& book, const SharingLookup& sharing) {
  for (const std::string& target : operation.targets) {
    const ledger::Gpu* gpu = ledger::findGpu(book.state, GpuUuid(target));
    if (gpu == nullptr || gpu->owner.kind != ledger::OwnerKind::Vm) continue;
    if (sharing(gpu->uuid).mps_daemon) {
      return {Progress::State::Running, 50, "stopping MPS on GPU " + std::to_string(gpu->index), {}};
    }
  }
  return succeeded();
}

}  // namespace

Progress progressOf(const Operation& operation, const Book& book, const SharingLookup& sharing) {
  if (operation.kind == "apply" || operation.kind == "start") return starting(operation, book, sharing);
  if (operation.kind == "delete") return gone(operation, book);
  if (operation.kind == "stop") return stopping(operation, book);
  if (operation.kind == "mode") return changingMode(operation, book, sharing);
  if (operation.kind == "set") return settingLimits(operation, book, sharing);
  if (isVmOperation(operation)) return vmProgress(operation, book);
  if (operation.kind == "reserve") return handingOver(operation, book, sharing);
  return succeeded();
}

void conclude(Draft& draft, const std::string& id, const Progress& progress) {
  Operation* operation = draft.operation(id);
  if (operation == nullptr || operation->state != Operation::State::Running) return;
  operation->percent = progress.percent;
  operation->message = progress.message;
  if (progress.error) operation->error = progress.error;
  switch (progress.state) {
    case Progress::State::Running:
      return;
    case Progress::State::Undo:
      for (const std::string& name : operation->targets) {
        if (WorkloadRecord* workload = draft.workload(name)) workload->desired = Desired::Deleted;
      }
      return;
    case Progress::State::Succeeded:
      operation->state = Operation::State::Succeeded;
      break;
    case Progress::State::Failed:
      operation->state = Operation::State::Failed;
      break;
  }
  operation->finished = draft.now;
  draft.event(operation->state == Operation::State::Succeeded ? "operation.succeeded" : "operation.failed",
              id,
              operation->kind + " " + operation->subject +
                  (operation->error ? ": " + operation->error->message : std::string()));
}

}  // namespace berth::service
