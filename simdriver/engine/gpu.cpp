#include "engine/gpu.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include <unistd.h>

namespace berth::sim {
namespace {

constexpr std::uint64_t kReapEveryNs = 20'000'000;
constexpr double kHeatSeconds = 25;  // Time constant of warming up and cooling down.
constexpr std::uint32_t kColdC = 36;
constexpr std::uint32_t kWarmByC = 34;
constexpr std::uint32_t kIdleClockMhz = 300;
constexpr std::uint32_t kIdleMemoryClockMhz = 405;
constexpr std::uint64_t kLargest = 1ULL << 50U;

std::int64_t monotonicNs() {
  struct timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

ModelParams paramsOf(const Profile& profile) {
  return {double(profile.sm_count), profile.slice_ns, profile.switch_ns};
}

SlotKind kindOf(const Slot& slot) {
  return slot.kind <= static_cast<std::uint32_t>(SlotKind::MpsClient) ? static_cast<SlotKind>(slot.kind)
                                                                      : SlotKind::Free;
}

Status statusOf(std::uint32_t value) {
  return value <= static_cast<std::uint32_t>(Status::Io) ? static_cast<Status>(value) : Status::DeviceLost;
}

std::uint64_t chargeOf(const Slot& slot) {
  return std::min(slot.overhead_bytes, kLargest) + std::min(slot.used_bytes, kLargest);
}

}  // namespace

double smsOfPercent(std::uint32_t sm_count, std::uint32_t percent) {
  const std::uint32_t share = std::clamp(percent, 1U, 100U);
  return std::max(1.0, std::floor(double(sm_count) * double(share) / 100.0));
}

Telemetry telemetryOf(const Profile& profile, double utilisation, double heat, std::uint64_t time_ns,
                      std::uint64_t busy_ns) {
  const double full = double(profile.power_limit_mw) - std::min(1000.0, 0.02 * profile.power_limit_mw);
  const double idle = profile.idle_power_mw;
  Telemetry telemetry;
  telemetry.utilisation = utilisation;
  telemetry.power_mw = static_cast<std::uint32_t>(idle + (full - idle) * utilisation);
  telemetry.temperature_c = kColdC + static_cast<std::uint32_t>(kWarmByC * heat);
  const bool busy = utilisation > 0;
  telemetry.sm_clock_mhz = busy ? profile.sm_clock_mhz : std::min(kIdleClockMhz, profile.sm_clock_mhz);
  telemetry.memory_clock_mhz =
      busy ? profile.memory_clock_mhz : std::min(kIdleMemoryClockMhz, profile.memory_clock_mhz);
  telemetry.performance_state = busy ? 0 : 8;
  telemetry.energy_mj =
      static_cast<std::uint64_t>(idle * double(time_ns) / 1e9 + (full - idle) * double(busy_ns) / 1e9);
  return telemetry;
}

LockedGpu::LockedGpu(StateFile& file)
    : file_(file), model_(file.state().model, paramsOf(file.profile())), status_(file.lock()) {
  if (status_ == Status::Ok) bringUpToDate();
}

LockedGpu::~LockedGpu() {
  if (status_ != Status::Ok) return;
  file_.unlock();
  if (wake_) file_.wakeAll();
}

bool LockedGpu::lost() const { return file_.state().health.lost != 0; }

bool LockedGpu::bound() const {
  return file_.state().health.binding != static_cast<std::uint32_t>(Binding::Nvidia);
}

void LockedGpu::bringUpToDate() {
  GpuState& gpu = state();
  const std::int64_t now = monotonicNs();
  const auto time = static_cast<std::int64_t>(model_.now());
  std::int64_t epoch = gpu.epoch_ns;
  if (epoch > now || epoch < -time || now - epoch < time) {
    epoch = now - time;  // The box was started anew: device time goes on from where it was.
    gpu.epoch_ns = epoch;
  }
  const auto device_now = static_cast<std::uint64_t>(now - epoch);
  // A copy may be as old as the last change: who is dead now must not work on in it until now.
  if (file_.access() == Access::Snapshot) reap();
  if (gpu.health.hung != 0 || gpu.health.lost != 0) {
    model_.stallUntil(device_now);
  } else {
    model_.advanceTo(device_now);
  }
  updateHeat();
  if (gpu.last_reap_ns > device_now || device_now - gpu.last_reap_ns > kReapEveryNs) reap();
}

void LockedGpu::updateHeat() {
  GpuState& gpu = state();
  const std::uint64_t now = model_.now();
  const std::uint64_t since = gpu.heat_time_ns;
  if (since <= now && now - since < kBucketNs) return;
  const double seconds = since > now ? 0 : double(now - since) / 1e9;
  const double before = gpu.heat >= 0 && gpu.heat <= 1 ? gpu.heat : 0;
  const double target = model_.utilisation(kUtilisationBuckets);
  gpu.heat = target + (before - target) * std::exp(-seconds / kHeatSeconds);
  gpu.heat_time_ns = now;
}

void LockedGpu::reap() {
  state().last_reap_ns = model_.now();
  for (std::uint32_t i = 0; i < kMaxClients; ++i) {
    const Slot slot = slotAt(i);
    if (slot.kind != 0 && !file_.holder(i, slot).alive) leave(i);
  }
}

void LockedGpu::leave(std::uint32_t index) {
  Slot& slot = slotAt(index);
  const bool server = kindOf(slot) == SlotKind::MpsServer;
  for (std::uint32_t i = 0; server && i < kMaxClients; ++i) {
    if (kindOf(slotAt(i)) == SlotKind::MpsClient && slotAt(i).server == index) {
      failClient(i, Status::MpsClientTerminated);
    }
  }
  state().model.clients[index % kMaxClients].runnable = 0;
  model_.dropClient(index % kMaxClients);
  const std::uint32_t generation = slot.generation;
  slot = Slot{};
  slot.generation = generation + 1;
  recoverServers();
  wake_ = true;
}

/// An MPS server in a fault starts over when the last client that saw it is gone (peers.md 3.5).
void LockedGpu::recoverServers() {
  for (std::uint32_t i = 0; i < kMaxClients; ++i) {
    Slot& slot = slotAt(i);
    if (kindOf(slot) == SlotKind::MpsServer && slot.fault != 0 && clientsOfServer(i) == 0) slot.fault = 0;
  }
}

std::uint32_t LockedGpu::clientsOfServer(std::uint32_t server) const {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < kMaxClients; ++i) {
    if (kindOf(slotAt(i)) == SlotKind::MpsClient && slotAt(i).server == server) ++count;
  }
  return count;
}

Status LockedGpu::admitByMode() const {
  const auto mode = static_cast<ComputeMode>(file_.state().health.compute_mode);
  if (mode == ComputeMode::Prohibited) return Status::DeviceUnavailable;
  if (mode != ComputeMode::ExclusiveProcess && mode != ComputeMode::ExclusiveThread) return Status::Ok;
  for (std::uint32_t i = 0; i < kMaxClients; ++i) {
    const Slot& slot = slotAt(i);
    if (slot.kind == 0) continue;
    if (ProcessIdentity{slot.pid, slot.pid_namespace, slot.start_time} != self()) {
      return Status::DeviceUnavailable;
    }
  }
  return Status::Ok;
}

Status LockedGpu::admitToServer(const Admission& admission) const {
  if (admission.server >= kMaxClients) return Status::MpsServerNotReady;
  const Slot& server = slotAt(admission.server);
  if (kindOf(server) != SlotKind::MpsServer || server.generation != admission.server_generation) {
    return Status::MpsServerNotReady;
  }
  if (server.fault != 0) return Status::MpsServerNotReady;
  if (static_cast<ComputeMode>(file_.state().health.compute_mode) == ComputeMode::Prohibited) {
    return Status::DeviceUnavailable;
  }
  return clientsOfServer(admission.server) < kMaxMpsClients ? Status::Ok : Status::MpsMaxClientsReached;
}

Status LockedGpu::admit(const Admission& admission, std::uint32_t& index) {
  if (lost() || bound()) return Status::DeviceLost;
  reap();
  const bool mps_client = admission.kind == SlotKind::MpsClient;
  if (const Status status = mps_client ? admitToServer(admission) : admitByMode(); status != Status::Ok) {
    return status;
  }
  const Profile& profile = file_.profile();
  std::uint64_t overhead = profile.context_overhead_bytes;
  if (mps_client) overhead = profile.mps_context_overhead_bytes;
  if (admission.kind == SlotKind::MpsServer) overhead = kMpsServerBytes;
  if (overhead > freeBytes()) return Status::OutOfMemory;
  index = 0;
  while (index < kMaxClients && (slotAt(index).kind != 0 || !file_.lockSlot(index))) ++index;
  if (index == kMaxClients) return Status::MpsMaxConnectionsReached;
  Slot& slot = slotAt(index);
  const std::uint32_t generation = slot.generation + 1;
  const ProcessIdentity& me = self();
  slot = Slot{static_cast<std::uint32_t>(admission.kind),
              generation,
              0,
              ::geteuid(),
              admission.server,
              admission.server_generation,
              me.pid,
              admission.thread_percent,
              me.pid_namespace,
              me.start_time,
              overhead,
              0,
              admission.pinned_limit_bytes};
  const double cap = smsOfPercent(profile.sm_count, admission.thread_percent);
  const std::uint32_t entity = mps_client ? kMaxClients + admission.server : index;
  state().model.clients[index] = ClientShare{1, entity, cap};
  return Status::Ok;
}

void LockedGpu::failClient(std::uint32_t index, Status why) {
  Slot& slot = slotAt(index);
  if (slot.kind == 0 || slot.fault != 0) return;
  slot.fault = static_cast<std::uint32_t>(why);
  state().model.clients[index % kMaxClients].runnable = 0;
  wake_ = true;
}

void LockedGpu::failServer(std::uint32_t server) {
  slotAt(server).fault = static_cast<std::uint32_t>(Status::MpsServerNotReady);
  for (std::uint32_t i = 0; i < kMaxClients; ++i) {
    if (kindOf(slotAt(i)) == SlotKind::MpsClient && slotAt(i).server == server) {
      failClient(i, Status::MpsClientTerminated);
    }
  }
  recoverServers();
}

void LockedGpu::failAll(Status why) {
  for (std::uint32_t i = 0; i < kMaxClients; ++i) failClient(i, why);
}

Status LockedGpu::faultOf(std::uint32_t index, std::uint32_t generation) const {
  const Slot& slot = slotAt(index);
  if (slot.kind == 0 || slot.generation != generation) return Status::DeviceLost;
  return statusOf(slot.fault);
}

std::uint64_t LockedGpu::usedBytes() const {
  std::uint64_t used = 0;
  bool any = false;
  for (std::uint32_t i = 0; i < kMaxClients; ++i) {
    if (kindOf(slotAt(i)) == SlotKind::Free) continue;
    any = true;
    used += chargeOf(slotAt(i));
  }
  return std::min(used + (any ? kDriverBytes : 0), file_.profile().memory_bytes);
}

std::uint64_t LockedGpu::freeBytes() const { return file_.profile().memory_bytes - usedBytes(); }

Status LockedGpu::reserve(std::uint32_t index, std::uint64_t bytes) {
  Slot& slot = slotAt(index);
  const std::uint64_t limit = slot.pinned_limit_bytes;
  const std::uint64_t used = std::min(slot.used_bytes, kLargest);
  if (bytes > kLargest || (limit != 0 && used + bytes > limit)) return Status::OutOfMemory;
  if (bytes > freeBytes()) reap();  // Before saying no: perhaps somebody died.
  if (bytes > freeBytes()) return Status::OutOfMemory;
  slot.used_bytes = used + bytes;
  return Status::Ok;
}

void LockedGpu::release(std::uint32_t index, std::uint64_t bytes) {
  Slot& slot = slotAt(index);
  slot.used_bytes -= std::min(bytes, slot.used_bytes);
}

MemoryInfo LockedGpu::memoryInfo(std::uint32_t index) const {
  MemoryInfo info{freeBytes(), file_.profile().memory_bytes};
  const Slot& slot = slotAt(index);
  const std::uint64_t limit = slot.pinned_limit_bytes;
  if (limit == 0 || limit >= info.total_bytes) return info;
  info.total_bytes = limit;
  info.free_bytes = std::min(info.free_bytes, limit - std::min(slot.used_bytes, limit));
  return info;
}

std::vector<ClientView> LockedGpu::clients() {
  std::vector<ClientView> views;
  for (std::uint32_t i = 0; i < kMaxClients; ++i) {
    const Slot slot = slotAt(i);
    const SlotKind kind = kindOf(slot);
    if (kind == SlotKind::Free) continue;
    const SlotHolder holder = file_.holder(i, slot);
    if (!holder.alive) continue;
    views.push_back({i, slot.generation, kind, statusOf(slot.fault), holder.pid, slot.uid, slot.server,
                     std::clamp(slot.thread_percent, 1U, 100U), chargeOf(slot),
                     model_.clientUtilisation(i, kUtilisationBuckets)});
  }
  return views;
}

Telemetry LockedGpu::telemetry() {
  const GpuState& gpu = state();
  const double heat = gpu.heat >= 0 && gpu.heat <= 1 ? gpu.heat : 0;
  const std::uint64_t busy = std::min(gpu.model.busy_ns, model_.now());
  const bool stopped = gpu.health.lost != 0;
  const double load = stopped ? 0 : model_.utilisation(kUtilisationBuckets);
  Telemetry telemetry = telemetryOf(file_.profile(), load, heat, model_.now(), busy);
  const std::uint32_t limit = gpu.health.power_limit_mw;
  if (limit > 0) telemetry.power_mw = std::min(telemetry.power_mw, limit);
  if (gpu.health.temperature_c > 0) telemetry.temperature_c = std::min(gpu.health.temperature_c, 150U);
  return telemetry;
}

void LockedGpu::pushEvent(std::uint64_t type, std::uint64_t data) {
  const std::uint64_t sequence = lastEvent() + 1;
  state().events[sequence % kMaxEvents] = EventRecord{sequence, model_.now(), type, data};
  state().next_event = sequence;
  wake_ = true;
}

std::uint64_t LockedGpu::lastEvent() const { return std::min(file_.state().next_event, kLargest); }

std::optional<EventRecord> LockedGpu::event(std::uint64_t sequence) const {
  const EventRecord record = file_.state().events[sequence % kMaxEvents];
  if (record.sequence != sequence) return std::nullopt;
  return record;
}

}  // namespace berth::sim
