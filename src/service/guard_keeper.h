// Keeps the guards of limited containers: their files before a start, their limits as the book has them, the
// audit of who uses a GPU without one, and the account of who used what.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "container/engine.h"
#include "container/gpu_edits.h"
#include "gpu/driver.h"
#include "os/procfs.h"
#include "service/desk.h"
#include "sharing/guard/context_costs.h"
#include "sharing/guard/enforcement.h"
#include "sharing/guard/gpu_accounts.h"
#include "sharing/guard/guard_audit.h"
#include "sharing/guard/guard_regions.h"

namespace berth::service {

/// A limited container that runs or is being started.
struct Limited {
  std::string workload;
  ContainerId engine_id;
  sharing::GuardedGpus gpus;
};

/// By container name. Pure.
std::map<std::string, Limited> limitedContainers(const Book& book);

/// Whether the limits of a GPU's containers are those of the book.
struct LimitsInForce {
  std::string behind;  // A container whose limits still have to follow; empty: none.
  std::string lost;    // One whose limits cannot follow before it is started again; empty: none.
};

/// prepare(), inForce() and report() are safe from every thread; follow() and look() must each not overlap
/// with themselves.
class GuardKeeper {
 public:
  struct Parts {
    Desk& desk;
    container::Engine& engine;
    gpu::GpuDriver& driver;
    const sharing::GuardRegions* regions = nullptr;  // Not owned; nullptr: this box has no guard.
    sharing::Enforcement enforcement = sharing::Enforcement::Stop;
    std::chrono::milliseconds grace{2000};
    os::Procfs procfs{};
  };

  explicit GuardKeeper(Parts parts) : parts_(std::move(parts)), audit_(parts_.grace) {}

  /// The files of a container that is about to be made; nullopt: it has no limit, or there is no guard.
  Result<std::optional<container::GuardInContainer>> prepare(const std::vector<ledger::Berth>& berths) const;

  /// Makes the limits of what runs those of the book, and removes the files of what is gone. True when
  /// something was changed. Call it after each commit.
  bool follow();

  LimitsInForce inForce(const Book& book, const GpuUuid& gpu) const;

  /// One look at every GPU and every limited container: accounts, and the audit. Blocks for the driver, and
  /// for the engine where a container is stopped. Call it about once a second.
  void look();

  std::vector<sharing::GpuReport> report() const;

 private:
  struct Process {
    std::string container;
    gpu::GpuProcess process;
  };
  using Reported = std::map<std::string, std::vector<guard::ProcessUsage>>;  // Containers with a guard.

  using SlotKey = std::pair<std::uint64_t, std::uint64_t>;  // PID namespace, slot owner without its flag.

  std::vector<sharing::DeviceReading> readDevices(const Book& book, std::vector<Process>& limited_processes,
                                                  const std::map<std::string, Limited>& limited) const;
  Reported readReports(const std::map<std::string, Limited>& limited) const;
  std::optional<sharing::AuditedProcess> audited(const gpu::GpuProcess& process);
  bool guardMapped(const os::ProcessId& id, const std::string& executable);
  void audit(const std::map<std::string, Limited>& limited, const std::vector<Process>& processes,
             const Reported& reported);
  std::optional<SlotKey> slotKeyOf(std::int64_t pid) const;
  std::set<SlotKey> slotKeysOf(const std::vector<std::int64_t>& pids) const;
  std::vector<guard::ProcessUsage> doubtful(const std::string& container,
                                            const std::vector<guard::ProcessUsage>& slots,
                                            const std::set<SlotKey>& on_gpu) const;
  void markDead(const Reported& reported, const std::vector<Process>& processes);
  void act(const sharing::Unreported& found, const std::map<std::string, Limited>& limited);
  void learnContextCosts(const std::vector<Process>& processes, const Reported& reported);
  void giveFeedback(const std::map<std::string, Limited>& limited) const;
  void account(const Book& book, const std::vector<sharing::DeviceReading>& devices,
               const std::map<std::string, Limited>& limited, const Reported& reported);

  Parts parts_;
  // Of look().
  sharing::GuardAudit audit_;
  sharing::GpuAccounts accounts_;
  sharing::ContextCosts context_costs_;
  std::optional<std::chrono::steady_clock::time_point> last_look_;
  std::map<os::ProcessId, std::string> mapped_;  // Programs that have the guard mapped, by their executable.
  std::set<std::pair<std::string, std::uint64_t>> marked_dead_;  // Container, slot owner.
  Guarded<std::vector<sharing::GpuReport>> report_;
};

}  // namespace berth::service
