// The service: claims in, berths out. Everything a caller can ask for, in the project's own types; it knows
// nothing of HTTP, JSON routes or the command line.
//
// A change is decided and committed before the call returns; what the world still has to follow goes on as an
// operation. A dry run (B17) takes the same path and commits nothing. All calls block for the disk at most,
// apply() also for the engine's list of images; they are safe from every thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "container/engine.h"
#include "manifest/workload.h"
#include "service/desk.h"

namespace berth::service {

/// What a change came to, or would come to.
struct Accepted {
  std::string operation;  // Empty for a dry run.
  std::vector<std::string> changes;
  std::vector<std::string> warnings;
  std::vector<ledger::Berth> berths;  // Granted by it.
};

/// Another share for the containers of a workload; nullopt: that limit stays.
struct LimitChange {
  std::string container;  // By its name in the manifest; empty: the only one with a share.
  std::optional<Percent> compute;
  std::optional<MiB> memory;
  bool restart = false;  // They may be started again where the limit needs it (MPS).
};

enum class DryRun : bool { No, Yes };

/// The GPU that people mean (ledger::findGpuByText). NotFound: none, and the message lists those there are.
Result<const ledger::Gpu*> gpuByText(const ledger::State& state, const std::string& text);

class Service {
 public:
  Service(Desk& desk, container::Engine& engine) : desk_(desk), engine_(engine) {}

  /// Runs the workloads of a manifest: all of them or, when one is refused or its image is missing, none. One
  /// that is there already with the same text stays as it is; with another it is refused (NameTaken).
  Result<Accepted> apply(std::string_view text, const std::string& file, DryRun dry_run);
  /// Deletes the workloads a manifest names. NotFound: none of them exists.
  Result<Accepted> deleteManifest(std::string_view text, const std::string& file, DryRun dry_run);
  Result<Accepted> deleteWorkload(const std::string& name, DryRun dry_run);
  Result<Accepted> stopWorkload(const std::string& name, DryRun dry_run);
  /// Places and starts a stopped workload again.
  Result<Accepted> startWorkload(const std::string& name, DryRun dry_run);
  /// Gives the containers of a workload another share, in every pod of it, while they run; it is remembered
  /// for later starts. Refused as ChangeShares is; Conflict: it holds no berth now.
  Result<Accepted> setLimits(const std::string& name, const LimitChange& change, DryRun dry_run);

  /// A2: keeps whole GPUs for a VM to come.
  Result<Accepted> reserve(const std::string& name, int gpus, DryRun dry_run);
  Result<Accepted> unreserve(const std::string& name, DryRun dry_run);

  Result<Accepted> enableKubernetes(DryRun dry_run);  // A3
  Result<Accepted> disableKubernetes(DryRun dry_run);
  Result<Accepted> releaseFromKubernetes(const std::optional<std::string>& gpu, DryRun dry_run);

  Result<Accepted> setMode(const std::string& gpu, ledger::Mode mode, bool restart, DryRun dry_run);
  /// A16, B16: mode mps (or timeslice) on one GPU, or on all that are not a VM's.
  Result<Accepted> switchMps(bool on, const std::optional<std::string>& gpu, bool restart, DryRun dry_run);

  Desk& desk() { return desk_; }
  container::Engine& engine() { return engine_; }

 private:
  struct Intent;
  Result<Accepted> submit(Operation operation, DryRun dry_run,
                          const std::function<Result<arbiter::Plan>(Draft&, Operation&)>& change);
  Result<Accepted> deleteNamed(const std::vector<std::string>& names, const std::string& subject,
                               std::vector<std::string> warnings, DryRun dry_run);
  Result<void> checkImages(const manifest::Manifest& manifest, DryRun dry_run,
                           std::vector<std::string>& warnings);
  Result<arbiter::Plan> place(Draft& draft, const std::vector<const WorkloadRecord*>& workloads);

  Desk& desk_;
  container::Engine& engine_;
};

}  // namespace berth::service
