#include "sharing/guard/guard_regions.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include <unistd.h>

#include "guard/region.h"
#include "os/files.h"
#include "sharing/guard/context_costs.h"

namespace berth::sharing {
namespace {

constexpr mode_t kFolderMode = 0700;  // Containers get single files mounted; nobody else needs a way in.
constexpr mode_t kPreloadMode = 0644;
constexpr std::size_t kMaxPreloadBytes = 4096;
constexpr const char* kLimits = "limits";
constexpr const char* kUsage = "usage";
constexpr const char* kPreload = "ld.so.preload";

std::string preloadLine() { return std::string(guard::kLibraryPath) + "\n"; }

std::optional<GuardedGpus> read(const std::filesystem::path& limits) {
  const auto file = guard::LimitsFile::open(limits);
  if (!file) return std::nullopt;
  GuardedGpus gpus;
  for (std::size_t i = 0; i < file->gpuCount(); ++i) gpus.push_back({file->uuid(i), file->share(i)});
  return gpus;
}

Result<void> checkGpus(const guard::LimitsFile& file, const GuardedGpus& gpus, const std::string& container) {
  bool same = file.gpuCount() == gpus.size();
  for (std::size_t i = 0; same && i < gpus.size(); ++i) same = file.uuid(i) == gpus[i].gpu;
  if (same) return {};
  return fail(ErrorCode::Conflict, container + " was started with other GPUs than its limits are for");
}

}  // namespace

/// One file for all containers: the same line for each.
Result<void> GuardRegions::writePreload() const {
  const std::filesystem::path path = folder_ / kPreload;
  const Result<std::string> now = os::readFile(path, kMaxPreloadBytes);
  if (now && *now == preloadLine()) return {};
  return os::writeFileAtomically(path, preloadLine(), kPreloadMode);
}

Result<GuardFiles> GuardRegions::make(const std::string& container, const GuardedGpus& gpus) const {
  TRY_VOID(os::ensureDirectory(folder_, kFolderMode));
  TRY_VOID(writePreload());
  TRY_VOID(remove(container));
  const std::filesystem::path folder = folderOf(container);
  TRY_VOID(os::ensureDirectory(folder, kFolderMode));
  std::vector<GpuUuid> uuids;
  for (const GuardedGpu& gpu : gpus) uuids.push_back(gpu.gpu);
  TRY_VOID(guard::createUsageFile(folder / kUsage, gpus.size()));
  TRY(guard::LimitsFile limits, guard::LimitsFile::create(folder / kLimits, uuids));
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    limits.setShare(i, gpus[i].share);
    limits.setFeedback(i, guard::GpuFeedback{.context_bytes = kAssumedContextBytes});
  }
  return GuardFiles{library_, folder_ / kPreload, folder / kLimits, folder / kUsage};
}

Result<void> GuardRegions::setShares(const std::string& container, const GuardedGpus& gpus) const {
  TRY(guard::LimitsFile file, guard::LimitsFile::open(folderOf(container) / kLimits));
  TRY_VOID(checkGpus(file, gpus, container));
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    if (file.share(i) != gpus[i].share) file.setShare(i, gpus[i].share);
  }
  return {};
}

Result<void> GuardRegions::setFeedback(const std::string& container,
                                       const std::vector<guard::GpuFeedback>& feedback) const {
  TRY(guard::LimitsFile file, guard::LimitsFile::open(folderOf(container) / kLimits));
  const std::size_t gpus = std::min(file.gpuCount(), feedback.size());
  for (std::size_t i = 0; i < gpus; ++i) file.setFeedback(i, feedback[i]);
  return {};
}

Result<void> GuardRegions::markDead(const std::string& container,
                                    const std::vector<guard::ProcessUsage>& dead) const {
  TRY(guard::LimitsFile file, guard::LimitsFile::open(folderOf(container) / kLimits));
  for (const guard::ProcessUsage& process : dead) file.markDead(process.slot, process.owner);
  return {};
}

Result<std::vector<guard::ProcessUsage>> GuardRegions::usage(const std::string& container,
                                                             std::size_t gpus) const {
  const std::filesystem::path path = folderOf(container) / kUsage;
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (!error && bytes > guard::usageBytes(gpus)) {
    std::filesystem::resize_file(path, guard::usageBytes(gpus), error);
  }
  return guard::readUsageFile(path, gpus);
}

PresentRegions GuardRegions::present() const {
  PresentRegions found;
  std::error_code error;
  for (auto it = std::filesystem::recursive_directory_iterator(folder_, error);
       !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    // A crash while they were made leaves the usage file alone: that is a region too, of no use.
    const std::filesystem::path folder = it->path().parent_path();
    if (it->path().filename() != kUsage || folder == folder_) continue;
    found[folder.lexically_relative(folder_).string()] = read(folder / kLimits);
  }
  return found;
}

Result<void> GuardRegions::remove(const std::string& container) const {
  TRY_VOID(os::removeTree(folderOf(container)));
  // The folders of its workload and pod, when nothing else is in them.
  for (std::filesystem::path up = std::filesystem::path(container).parent_path(); !up.empty();
       up = up.parent_path()) {
    if (::rmdir((folder_ / up).c_str()) != 0) break;
  }
  return {};
}

}  // namespace berth::sharing
