// MPS on the box: one supervised control daemon for each GPU in mode mps (rules A16, B16).
//
// A daemon survives a restart of Berth and is adopted then, so that programs keep working (B8). When it dies,
// hangs or a client's fatal fault stops its server, its generation is over: the victims are named, it is
// cleared away and a new generation starts in new folders.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"
#include "sharing/mps/mps_daemon.h"

namespace berth::sharing {

enum class MpsState : std::uint8_t { Off, Starting, Running, Failed, Stopping };
/// "off", "starting", "running", "failed", "stopping".
std::string_view name(MpsState state);

struct MpsStatus {
  GpuUuid gpu;
  MpsState state = MpsState::Off;
  std::int64_t generation = 0;
  std::int64_t pid = 0;         // Of the control daemon.
  std::int64_t server_pid = 0;  // 0: not seen yet.
  std::vector<std::int64_t> clients;
  MpsLimits limits;
  std::filesystem::path pipe_directory;  // What clients need; empty unless Running.
  std::string message;                   // Why it failed, or what ended the last generation.
};

/// A generation that ended by itself.
struct MpsFault {
  GpuUuid gpu;
  std::int64_t generation = 0;
  std::string message;
  std::vector<std::int64_t> victims;  // Clients at the last look: the programs to restart.
};

/// Safe from several threads; all calls but status() block: worker threads only. Two changes of one GPU at a
/// time do not happen: the second is Conflict. Destroying the manager leaves the daemons running.
class MpsManager {
 public:
  /// `on_fault` is called on the thread that supervises, after the old generation was cleared away and before
  /// the new one starts; it only posts elsewhere. What `world` refers to outlives the manager.
  MpsManager(MpsWorld world, std::function<void(const MpsFault&)> on_fault)
      : world_(std::move(world)), on_fault_(std::move(on_fault)) {}
  MpsManager(const MpsManager&) = delete;
  MpsManager& operator=(const MpsManager&) = delete;

  /// Makes MPS run on a GPU: as it does already, by adopting the daemon of an earlier run, or anew. Conflict:
  /// it runs with other limits, which only a stop and a start can change. Otherwise the errors of
  /// MpsDaemon::launch; MPS is off then.
  Result<MpsStatus> start(const GpuUuid& gpu, const MpsLimits& limits = {});

  /// Ends MPS on a GPU and every program that uses it, and gives it its default compute mode. Succeeds when
  /// MPS is off, then also for a leftover of an earlier run.
  Result<void> stop(const GpuUuid& gpu);

  /// The most of the threads that programs which connect from now on can get from this GPU's server, whatever
  /// they ask for. Unavailable: MPS does not run there, or is being changed; try again.
  Result<void> capNewClients(const GpuUuid& gpu, Percent threads);

  /// Looks at every GPU's daemon once and does what has to be done. Call it once a second, and at once when a
  /// control daemon's process is known to have ended. Skips GPUs that are being changed.
  void supervise();

  /// Every GPU on which MPS was ever wanted, as of the last look.
  std::vector<MpsStatus> status() const;
  MpsStatus status(const GpuUuid& gpu) const;

 private:
  struct Unit {
    std::unique_ptr<MpsDaemon> daemon;  // Null: not running now.
    MpsLimits limits;
    MpsMemory memory;
    int failures = 0;  // Starts in a row that failed.
    std::chrono::steady_clock::time_point retry_at;
  };
  struct Entry {
    bool busy = false;
    bool wanted = false;
    MpsStatus status;
    std::shared_ptr<Unit> unit = std::make_shared<Unit>();
  };
  using Entries = std::map<GpuUuid, Entry>;
  class Lease;

  Result<Lease> lease(const GpuUuid& gpu);
  Result<Lease> awaitLease(const GpuUuid& gpu);
  Result<MpsStatus> startLeased(const GpuUuid& gpu, const MpsLimits& limits, Unit& unit);
  Result<void> obtain(const GpuUuid& gpu, Unit& unit);
  void superviseOne(const GpuUuid& gpu, Unit& unit);
  void endGeneration(const GpuUuid& gpu, Unit& unit, const MpsDecision& decision);
  void restart(const GpuUuid& gpu, Unit& unit);
  void publish(const GpuUuid& gpu, MpsState state, const Unit& unit, const std::string& message);

  MpsWorld world_;
  std::function<void(const MpsFault&)> on_fault_;
  Guarded<Entries> entries_;
};

}  // namespace berth::sharing
