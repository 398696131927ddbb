#include "service/sharing_keeper.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/text.h"

namespace berth::service {
namespace {

using sharing::MpsState;

constexpr std::chrono::seconds kRetry{3};
// Longer than the time between two looks at an MPS server.
constexpr std::chrono::seconds kFaultLag{10};

std::string label(const ledger::Gpu& gpu) { return "GPU " + std::to_string(gpu.index); }

bool wantsMps(const ledger::State& state, const ledger::Gpu& gpu) {
  using ledger::OwnerKind;
  const OwnerKind owner = gpu.owner.kind;
  if (owner == OwnerKind::Vm || owner == OwnerKind::Quarantined || owner == OwnerKind::Moving) return false;
  return modeInForce(state, gpu) == ledger::Mode::Mps && gpu.health != ledger::Health::Lost;
}

bool onGpu(const ledger::State& state, const std::string& container, const GpuUuid& gpu) {
  return std::ranges::any_of(state.berths, [&](const ledger::Berth& berth) {
    return berth.gpu == gpu && berth.holder.kind == ledger::HolderKind::Container &&
           berth.holder.name == container;
  });
}

/// Whether a fault of this generation of MPS hit the container: it is a client, or was one until just now,
/// for a program may end by the fault before the fault is seen here.
bool wasHit(const ContainerRecord& c, std::int64_t generation, WallTime now) {
  if (c.sharing) return c.sharing->mode == ledger::Mode::Mps && c.sharing->mps_generation == generation;
  return c.exit_code && now - c.finished <= kFaultLag;
}

std::vector<std::string> victimsOf(const Draft& draft, const sharing::MpsFault& fault) {
  std::vector<std::string> victims;
  for (const auto& [name, workload] : draft.book.workloads) {
    for (const ContainerRecord& c : workload->containers) {
      if (wasHit(c, fault.generation, draft.now) && onGpu(draft.book.state, c.name, fault.gpu)) {
        victims.push_back(c.name);
      }
    }
  }
  return victims;
}

/// What the container's environment tells MPS; 0: no limit.
Percent shareUnderMps(const ledger::Berth& berth) {
  return berth.compute.value > 0 ? berth.compute : berth.thread_percentage;
}

}  // namespace

ledger::Mode modeInForce(const ledger::State& state, const ledger::Gpu& gpu) {
  const bool whole = std::ranges::any_of(
      state.berths, [&](const ledger::Berth& berth) { return berth.gpu == gpu.uuid && berth.whole; });
  return whole ? ledger::Mode::Exclusive : gpu.mode;
}

std::string blocker(const Book& book, const ledger::Gpu& gpu, bool want_mps) {
  for (const auto& [name, workload] : book.workloads) {
    for (const ContainerRecord& c : workload->containers) {
      const bool runs = c.phase == Phase::Running || c.phase == Phase::Starting;
      if (!runs || !c.sharing || !onGpu(book.state, c.name, gpu.uuid)) continue;
      if ((c.sharing->mode == ledger::Mode::Mps) != want_mps) return c.name;
    }
  }
  return {};
}

Percent largestShare(const ledger::State& state, const GpuUuid& gpu) {
  constexpr Percent kAll{100};
  Percent largest;
  for (const ledger::Berth* berth : ledger::berthsOn(state, gpu)) {
    const Percent share = shareUnderMps(*berth);
    largest = std::max(largest, share.value == 0 ? kAll : share);
  }
  return largest.value == 0 ? kAll : largest;
}

void SharingKeeper::tend(const GpuUuid& uuid) {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  const ledger::Gpu* gpu = ledger::findGpu(book->state, uuid);
  if (gpu == nullptr) return;
  const bool want = wantsMps(book->state, *gpu);
  const sharing::MpsStatus before = parts_.mps.status(uuid);
  // Until it is cleared, a GPU may have what an earlier run of ours left there.
  if (want ? before.state == MpsState::Running : isCleared(*gpu) && before.state == MpsState::Off) return;
  const bool lost = gpu->health == ledger::Health::Lost;  // Its clients have nothing left to be waited for.
  if (!lost && !blocker(*book, *gpu, want).empty()) return;  // Asked again when that container has stopped.
  Result<void> done;
  if (!want) {
    done = parts_.mps.stop(uuid);
  } else if (auto started = parts_.mps.start(uuid); !started) {
    done = fail(std::move(started).error());
  }
  if (!done) {
    log(LogLevel::Error, want ? "MPS does not start" : "MPS does not stop",
        {{"gpu", uuid.value}, {"why", done.error().message}});
    // An earlier run's daemon would have been adopted: none lives.
    if (want) ended_.with([&](auto& all) { all.insert(uuid); });
    parts_.again(uuid, parts_.desk.clock().now() + kRetry);
  } else {
    cleared_.with([&](auto& all) { all[uuid] = lost; });
  }
  announce(*gpu, before);
  // Even where nothing differs afterwards: meanwhile the GPU was not ready, and a workload may have seen
  // that.
  parts_.changed(uuid);
}

bool SharingKeeper::isCleared(const ledger::Gpu& gpu) const {
  return cleared_.with([&](const auto& all) {
    const auto found = all.find(gpu.uuid);
    return found != all.end() && found->second == (gpu.health == ledger::Health::Lost);
  });
}

void SharingKeeper::announce(const ledger::Gpu& gpu, const sharing::MpsStatus& before) {
  const sharing::MpsStatus now = parts_.mps.status(gpu.uuid);
  if (now.state == before.state && now.generation == before.generation) return;
  const Result<void> noted = parts_.desk.change([&](Draft& draft) -> Result<void> {
    draft.event(
        "mps." + std::string(sharing::name(now.state)), label(gpu),
        now.state == MpsState::Running ? "generation " + std::to_string(now.generation) : now.message);
    return {};
  });
  if (!noted) log(LogLevel::Error, "an event is lost", {{"why", noted.error().message}});
}

void SharingKeeper::supervise() {
  const std::vector<sharing::MpsStatus> before = parts_.mps.status();
  parts_.mps.supervise();
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const sharing::MpsStatus& old : before) {
    const sharing::MpsStatus now = parts_.mps.status(old.gpu);
    const ledger::Gpu* gpu = ledger::findGpu(book->state, old.gpu);
    if (gpu == nullptr || (now.state == old.state && now.generation == old.generation)) continue;
    announce(*gpu, old);
    parts_.changed(old.gpu);
  }
}

void SharingKeeper::noteFault(const sharing::MpsFault& fault) {
  ended_.with([&](auto& all) { all.insert(fault.gpu); });
  const Result<void> noted = parts_.desk.change([&](Draft& draft) -> Result<void> {
    const ledger::Gpu* gpu = ledger::findGpu(draft.book.state, fault.gpu);
    const std::vector<std::string> victims = victimsOf(draft, fault);
    draft.event("mps.fault", gpu == nullptr ? fault.gpu.value : label(*gpu),
                "generation " + std::to_string(fault.generation) + " ended: " + fault.message +
                    "; hit: " + (victims.empty() ? std::string("no container") : join(victims, ", ")));
    return {};
  });
  if (!noted) log(LogLevel::Error, "an event is lost", {{"why", noted.error().message}});
}

SharingInForce SharingKeeper::inForce(const GpuUuid& uuid) const {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  const ledger::Gpu* gpu = ledger::findGpu(book->state, uuid);
  const sharing::MpsStatus status = parts_.mps.status(uuid);
  SharingInForce now;
  now.mps_daemon = status.state != MpsState::Off && status.state != MpsState::Failed;
  if (gpu == nullptr) return now;
  const bool want = wantsMps(book->state, *gpu);
  const std::string waits_for = blocker(*book, *gpu, want);
  LimitsInForce limits = parts_.guard.inForce(*book, uuid);
  now.limits_behind = std::move(limits.behind);
  now.limits_lost = std::move(limits.lost);
  const bool off = isCleared(*gpu) && !now.mps_daemon;
  now.ready = waits_for.empty() && (want ? status.state == MpsState::Running : off);
  if (now.ready) return now;
  if (!waits_for.empty()) {
    now.message = "stopping " + waits_for;
  } else if (status.state == MpsState::Failed) {
    now.message = "MPS fails: " + status.message;
  } else {
    now.message = want ? "starting MPS" : "stopping MPS";
  }
  return now;
}

Sharing SharingKeeper::sharing(const ledger::State& state, const std::vector<ledger::Berth>& berths) {
  Sharing sharing;
  for (const ledger::Berth& berth : berths) {
    const ledger::Gpu* gpu = ledger::findGpu(state, berth.gpu);
    if (gpu == nullptr || gpu->health == ledger::Health::Lost) return sharing;
    sharing.mode = modeInForce(state, *gpu);
    if (!inForce(berth.gpu).ready) {
      sharing.clients_lost = parts_.mps.status(berth.gpu).state != MpsState::Running &&
                             ended_.with([&](const auto& all) { return all.contains(berth.gpu); });
      return sharing;
    }
    ended_.with([&](auto& all) { all.erase(berth.gpu); });
  }
  const bool mps = sharing.mode == ledger::Mode::Mps;
  sharing.generation = mps ? parts_.mps.status(berths.front().gpu).generation : 0;
  return sharing;
}

Result<container::GpuInContainer> SharingKeeper::gpuInContainer(const GpuUuid& uuid) {
  container::GpuInContainer gpu;
  gpu.uuid = uuid;
  if (!parts_.sim_dir.empty()) {
    // The simulated driver names it by the UUID without its "GPU-" (docs/formats/simdriver-state.md).
    constexpr std::size_t kPrefix = 4;
    gpu.state_file = parts_.sim_dir / ("gpu-" + uuid.value.substr(kPrefix) + ".state");
    return gpu;
  }
  TRY(gpu.minor_number, minorNumber(uuid));
  return gpu;
}

/// Asked of the driver once per GPU: listing re-initialises NVML, and a device node keeps its number until
/// the driver is loaded anew, which no container survives.
Result<int> SharingKeeper::minorNumber(const GpuUuid& uuid) {
  const auto known = minor_numbers_.with([&](const auto& all) {
    const auto found = all.find(uuid);
    return found == all.end() ? std::optional<int>{} : found->second;
  });
  if (known) return *known;
  TRY(const std::vector<gpu::GpuInfo> infos, parts_.driver.list());
  const auto info = std::ranges::find(infos, uuid, &gpu::GpuInfo::uuid);
  if (info == infos.end()) return fail(ErrorCode::NotFound, "the driver does not list GPU " + uuid.value);
  minor_numbers_.with([&](auto& all) { all[uuid] = info->minor_number; });
  return info->minor_number;
}

Result<container::GpuEdits> SharingKeeper::edits(const ledger::State& state,
                                                 const std::vector<ledger::Berth>& berths, bool host_ipc) {
  container::GpuEditRequest request;
  request.host_ipc = host_ipc;
  for (const ledger::Berth& berth : berths) {
    TRY(container::GpuInContainer gpu, gpuInContainer(berth.gpu));
    request.gpus.push_back(std::move(gpu));
  }
  const ledger::Berth& first = berths.front();
  const ledger::Gpu* gpu = ledger::findGpu(state, first.gpu);
  if (gpu != nullptr && modeInForce(state, *gpu) == ledger::Mode::Mps) {
    container::MpsClient client;
    client.pipe_directory = parts_.mps.status(first.gpu).pipe_directory.string();
    client.thread_percentage = shareUnderMps(first);
    TRY_VOID(parts_.mps.capNewClients(first.gpu, largestShare(state, first.gpu)));
    if (first.memory_rung == ledger::Rung::MpsV2) client.pinned_memory = first.memory;
    request.mps = client;
  }
  TRY(request.guard, parts_.guard.prepare(berths));
  return container::gpuEdits(parts_.files, request);
}

Result<void> SharingKeeper::verify(std::int64_t pid, const container::GpuEdits& edits) {
  return container::verifyEdits(pid, edits);
}

}  // namespace berth::service
