#include "sharing/mps/mps_manager.h"

#include <utility>

#include "base/log.h"

namespace berth::sharing {

std::string_view name(MpsState state) {
  switch (state) {
    case MpsState::Off:
      return "off";
    case MpsState::Starting:
      return "starting";
    case MpsState::Running:
      return "running";
    case MpsState::Failed:
      return "failed";
    case MpsState::Stopping:
      return "stopping";
  }
  return "";
}

/// The right to change one GPU's MPS: what stands in for a lock that would be held across I/O.
class MpsManager::Lease {
 public:
  Lease(Guarded<Entries>& entries, GpuUuid gpu, std::shared_ptr<Unit> unit)
      : entries_(&entries), gpu_(std::move(gpu)), unit_(std::move(unit)) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Lease(Lease&& other) noexcept
      : entries_(std::exchange(other.entries_, nullptr)),
        gpu_(std::move(other.gpu_)),
        unit_(std::move(other.unit_)) {}
  Lease& operator=(Lease&&) = delete;
  ~Lease() {
    if (entries_ == nullptr) return;
    entries_->with([this](Entries& entries) { entries[gpu_].busy = false; });
  }
  Unit& unit() { return *unit_; }

 private:
  Guarded<Entries>* entries_;
  GpuUuid gpu_;
  std::shared_ptr<Unit> unit_;
};

Result<MpsManager::Lease> MpsManager::lease(const GpuUuid& gpu) {
  const auto unit = entries_.with([&](Entries& entries) -> std::shared_ptr<Unit> {
    Entry& entry = entries[gpu];
    entry.status.gpu = gpu;
    if (std::exchange(entry.busy, true)) return nullptr;
    return entry.unit;
  });
  if (unit) return Lease(entries_, gpu, unit);
  return fail(ErrorCode::Conflict, "MPS on " + gpu.value + " is being changed already");
}

Result<MpsStatus> MpsManager::start(const GpuUuid& gpu, const MpsLimits& limits) {
  TRY(Lease held, lease(gpu));
  return startLeased(gpu, limits, held.unit());
}

Result<MpsStatus> MpsManager::startLeased(const GpuUuid& gpu, const MpsLimits& limits, Unit& unit) {
  if (!unit.daemon) {
    unit.limits = limits;
    publish(gpu, MpsState::Starting, unit, "");
    Result<void> obtained = obtain(gpu, unit);
    if (!obtained) {
      entries_.with([&](Entries& entries) { entries[gpu].wanted = false; });
      publish(gpu, MpsState::Off, unit, obtained.error().message);
      return fail(std::move(obtained).during("starting MPS on " + gpu.value).error());
    }
  }
  entries_.with([&](Entries& entries) { entries[gpu].wanted = true; });
  unit.limits = unit.daemon->limits();
  publish(gpu, MpsState::Running, unit, "");
  if (unit.limits == limits) return status(gpu);
  return fail(ErrorCode::Conflict, "MPS runs on " + gpu.value + " with other limits; stop it to change them");
}

Result<void> MpsManager::obtain(const GpuUuid& gpu, Unit& unit) {
  unit.memory = {};
  if (Result<std::unique_ptr<MpsDaemon>> adopted = MpsDaemon::adopt(world_, gpu)) {
    log(LogLevel::Info, "MPS control daemon adopted", {{"gpu", gpu.value}});
    unit.daemon = *std::move(adopted);
    if (const Result<void> ended = unit.daemon->endStrays(); !ended) {
      log(LogLevel::Warning, "a stray MPS program stays",
          {{"gpu", gpu.value}, {"why", ended.error().message}});
    }
    return {};
  }
  TRY_VOID(MpsDaemon::clearLeftover(world_, gpu));
  TRY(unit.daemon, MpsDaemon::launch(world_, gpu, unit.limits));
  log(LogLevel::Info, "MPS control daemon started",
      {{"gpu", gpu.value}, {"generation", std::to_string(unit.daemon->generation())}});
  return {};
}

Result<void> MpsManager::stop(const GpuUuid& gpu) {
  TRY(Lease held, lease(gpu));
  Unit& unit = held.unit();
  entries_.with([&](Entries& entries) { entries[gpu].wanted = false; });
  publish(gpu, MpsState::Stopping, unit, "");
  Result<void> stopped;
  if (unit.daemon) {
    stopped = unit.daemon->shutDown();
  } else {
    stopped = MpsDaemon::clearLeftover(world_, gpu);
    if (stopped) stopped = giveBack(world_, gpu);
  }
  // A daemon that could not be ended is still noted on disk: the next stop or start finds it there.
  unit.daemon.reset();
  unit.memory = {};
  unit.failures = 0;
  publish(gpu, stopped ? MpsState::Off : MpsState::Failed, unit, stopped ? "" : stopped.error().message);
  return std::move(stopped).during("stopping MPS on " + gpu.value);
}

Result<MpsManager::Lease> MpsManager::awaitLease(const GpuUuid& gpu) {
  const auto deadline = world_.clock.now() + world_.config.command_timeout;
  for (;;) {
    Result<Lease> held = lease(gpu);
    if (held || world_.clock.now() >= deadline) return held;
    world_.pause(world_.config.poll_interval);
  }
}

Result<void> MpsManager::capNewClients(const GpuUuid& gpu, Percent threads) {
  // A look at the daemon takes moments, and a container's start should not fail for it.
  Result<Lease> held = awaitLease(gpu);
  if (!held) return fail(ErrorCode::Unavailable, held.error().message);
  if (!held->unit().daemon) return fail(ErrorCode::Unavailable, "MPS does not run on " + gpu.value);
  return held->unit().daemon->capNewClients(threads).during("limiting the clients of " + gpu.value);
}

void MpsManager::supervise() {
  const auto wanted = entries_.with([](Entries& entries) {
    std::vector<GpuUuid> gpus;
    for (const auto& [gpu, entry] : entries) {
      if (entry.wanted && !entry.busy) gpus.push_back(gpu);
    }
    return gpus;
  });
  for (const GpuUuid& gpu : wanted) {
    Result<Lease> held = lease(gpu);
    const bool still_wanted = entries_.with([&](Entries& entries) { return entries[gpu].wanted; });
    if (held && still_wanted) superviseOne(gpu, held->unit());
  }
}

void MpsManager::superviseOne(const GpuUuid& gpu, Unit& unit) {
  if (!unit.daemon) {
    if (world_.clock.now() >= unit.retry_at) restart(gpu, unit);
    return;
  }
  const MpsDecision decision = decide(unit.memory, unit.daemon->observe());
  unit.memory = decision.memory;
  if (decision.step == MpsStep::EndGeneration) return endGeneration(gpu, unit, decision);
  if (decision.step == MpsStep::StartServer) {
    if (const Result<void> started = unit.daemon->startServer(); !started) {
      log(LogLevel::Warning, "MPS server does not start",
          {{"gpu", gpu.value}, {"error", started.error().message}});
    }
  }
  publish(gpu, MpsState::Running, unit, "");
}

void MpsManager::endGeneration(const GpuUuid& gpu, Unit& unit, const MpsDecision& decision) {
  const MpsFault fault{gpu, unit.daemon->generation(), decision.message, decision.victims};
  log(LogLevel::Warning, "MPS generation ended",
      {{"gpu", gpu.value},
       {"generation", std::to_string(fault.generation)},
       {"why", fault.message},
       {"victims", std::to_string(fault.victims.size())}});
  if (const Result<void> cleared = unit.daemon->shutDown(); !cleared) {
    log(LogLevel::Error, "MPS generation not cleared away",
        {{"gpu", gpu.value}, {"error", cleared.error().message}});
  }
  unit.daemon.reset();
  publish(gpu, MpsState::Starting, unit, fault.message);
  on_fault_(fault);
  restart(gpu, unit);
}

void MpsManager::restart(const GpuUuid& gpu, Unit& unit) {
  const Result<void> obtained = obtain(gpu, unit);
  if (obtained) {
    unit.failures = 0;
    return publish(gpu, MpsState::Running, unit, "");
  }
  ++unit.failures;
  unit.retry_at = world_.clock.now() + retryDelay(unit.failures);
  log(LogLevel::Error, "MPS does not start again", {{"gpu", gpu.value}, {"error", obtained.error().message}});
  publish(gpu, MpsState::Failed, unit, obtained.error().message);
}

void MpsManager::publish(const GpuUuid& gpu, MpsState state, const Unit& unit, const std::string& message) {
  MpsStatus status;
  status.gpu = gpu;
  status.state = state;
  status.limits = unit.limits;
  status.message = message;
  if (unit.daemon) {
    status.generation = unit.daemon->generation();
    status.pid = unit.daemon->process().pid;
    status.server_pid = unit.memory.server;
    status.clients = unit.memory.clients;
    if (state == MpsState::Running) status.pipe_directory = unit.daemon->pipeDirectory();
  }
  entries_.with([&](Entries& entries) { entries[gpu].status = std::move(status); });
}

std::vector<MpsStatus> MpsManager::status() const {
  return entries_.with([](const Entries& entries) {
    std::vector<MpsStatus> all;
    for (const auto& [gpu, entry] : entries) all.push_back(entry.status);
    return all;
  });
}

MpsStatus MpsManager::status(const GpuUuid& gpu) const {
  return entries_.with([&](const Entries& entries) {
    const auto found = entries.find(gpu);
    if (found != entries.end()) return found->second.status;
    MpsStatus off;
    off.gpu = gpu;
    return off;
  });
}

}  // namespace berth::sharing
