// Keeps MPS as the book wants it: a control daemon on each GPU in mode mps that containers may use, none
// elsewhere.
//
// A daemon is started only when nothing runs on the GPU outside of MPS, and stopped only when no client is
// left, so that a change of mode never cuts off a container that was not told to restart; the workload runner
// stops those first, and this is asked again.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "container/gpu_edits.h"
#include "gpu/driver.h"
#include "service/conductor.h"
#include "service/desk.h"
#include "service/guard_keeper.h"
#include "service/workload_runner.h"
#include "sharing/mps/mps_manager.h"

namespace berth::service {

/// How containers share a GPU in fact: its mode, but exclusive while one container has all of it.
ledger::Mode modeInForce(const ledger::State& state, const ledger::Gpu& gpu);

/// What keeps MPS from being started or stopped on a GPU: a container that runs there the other way. Empty:
/// nothing. Pure.
std::string blocker(const Book& book, const ledger::Gpu& gpu, bool want_mps);

/// The most of a GPU's threads that one of its containers was granted; 100 where one has no limit. Pure.
Percent largestShare(const ledger::State& state, const GpuUuid& gpu);

/// Safe from several threads; tend() of one GPU must not overlap with itself.
class SharingKeeper final : public GpuAccess {
 public:
  struct Parts {
    Desk& desk;
    sharing::MpsManager& mps;
    gpu::GpuDriver& driver;
    GuardKeeper& guard;
    container::DriverFiles files;
    std::filesystem::path sim_dir;  // Of the simulated driver; empty with a real one.
    /// Asks for tend(uuid) again.
    std::function<void(const GpuUuid& gpu, std::chrono::steady_clock::time_point when)> again;
    /// A GPU's sharing came into or went out of force: workloads on it should be looked at.
    std::function<void(const GpuUuid& gpu)> changed;
  };

  explicit SharingKeeper(Parts parts) : parts_(std::move(parts)) {}

  /// Brings MPS on one GPU to where the book wants it. Blocks for seconds at worst.
  void tend(const GpuUuid& gpu);

  /// Looks at every daemon, replaces generations that ended by themselves, and tells of what changed. Call it
  /// every few seconds and after a program's fatal fault.
  void supervise();

  /// Records a generation that ended by itself, with the containers it took along.
  void noteFault(const sharing::MpsFault& fault);

  /// For operations: what is in force on a GPU.
  SharingInForce inForce(const GpuUuid& gpu) const;

  Sharing sharing(const ledger::State& state, const std::vector<ledger::Berth>& berths) override;
  Result<container::GpuEdits> edits(const ledger::State& state, const std::vector<ledger::Berth>& berths,
                                    bool host_ipc) override;
  Result<void> verify(std::int64_t pid, const container::GpuEdits& edits) override;

 private:
  Result<container::GpuInContainer> gpuInContainer(const GpuUuid& uuid);
  Result<int> minorNumber(const GpuUuid& uuid);
  void announce(const ledger::Gpu& gpu, const sharing::MpsStatus& before);
  /// Whether nothing that an earlier run left can be on the GPU any more, and its compute mode is ours.
  bool isCleared(const ledger::Gpu& gpu) const;

  Parts parts_;
  /// GPUs that MPS was started or stopped on since this start of the daemon, and whether they were lost then:
  /// one that comes back is looked at afresh.
  Guarded<std::map<GpuUuid, bool>> cleared_;
  /// GPUs whose last generation of MPS is known to have ended, until another one runs.
  Guarded<std::set<GpuUuid>> ended_;
  Guarded<std::map<GpuUuid, std::optional<int>>> minor_numbers_;
};

}  // namespace berth::service
