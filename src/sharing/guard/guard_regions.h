// The region files of all limited containers, in one folder: made before a container starts, found again
// after a restart of the daemon, changed while the container runs, removed when it is gone.
//
// A container mounts files, not names: for as long as it runs its limits are those of the inode it started
// with. So files are changed in place and never replaced under a running container. The folder lies in the
// run directory: it outlives the daemon, and ends with the boot, as containers do.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "guard/region_files.h"
#include "sharing/guard/guard_plan.h"

namespace berth::sharing {

/// What is mounted into one container; paths on the host.
struct GuardFiles {
  std::filesystem::path library;
  std::filesystem::path preload;
  std::filesystem::path limits;
  std::filesystem::path usage;
};

/// Keeps nothing in memory, so it is safe from several threads for different containers. Calls block on a
/// file system in memory at most.
class GuardRegions {
 public:
  /// `library` is what findGuardLibrary() found. Nothing is touched before the first make().
  GuardRegions(std::filesystem::path folder, std::filesystem::path library)
      : folder_(std::move(folder)), library_(std::move(library)) {}

  /// Fresh files for a container that is about to be made; those of an earlier attempt go. `container` is its
  /// name in the ledger, "<workload>/<pod>/<container>". Io; InvalidArgument: more GPUs than a region takes.
  Result<GuardFiles> make(const std::string& container, const GuardedGpus& gpus) const;

  /// Other limits, in force with the container's next allocation or launch. NotFound, Corrupt (of another
  /// layout: an older daemon's container), Conflict: the file is for other GPUs.
  Result<void> setShares(const std::string& container, const GuardedGpus& gpus) const;

  /// Measurements for the guard, by the container's GPUs in order. As setShares().
  Result<void> setFeedback(const std::string& container,
                           const std::vector<guard::GpuFeedback>& feedback) const;

  /// Tells the container that these processes of it are dead. As setShares().
  Result<void> markDead(const std::string& container, const std::vector<guard::ProcessUsage>& dead) const;

  /// The processes that have reported in. NotFound: no files. Corrupt: the container has damaged its own; one
  /// that made it longer finds it cut back, so that it cannot fill the host's memory.
  Result<std::vector<guard::ProcessUsage>> usage(const std::string& container, std::size_t gpus) const;

  PresentRegions present() const;
  /// Succeeds when there are none.
  Result<void> remove(const std::string& container) const;

 private:
  std::filesystem::path folderOf(const std::string& container) const { return folder_ / container; }
  Result<void> writePreload() const;

  const std::filesystem::path folder_;
  const std::filesystem::path library_;
};

}  // namespace berth::sharing
