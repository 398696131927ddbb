// The daemon's side of a limited container's two files: made, changed while the container runs, read.
// docs/formats/guard-region.md says what is in them. The usage file is only ever read as a copy, because a
// container may write anything into it or cut it short.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "guard/region.h"

namespace berth::guard {

/// What a container may use of one GPU.
struct GpuShare {
  std::uint64_t memory_bytes = 0;      // 0: no limit
  std::uint32_t compute_permille = 0;  // 0: no limit
  std::uint32_t pacing = kPaceAlways;
  bool operator==(const GpuShare&) const = default;
};

/// What the daemon observed, for the guard's charging; see GpuLimits.
struct GpuFeedback {
  std::uint32_t charge_permille = 1000;
  std::uint32_t contenders = 0;
  std::uint64_t context_bytes = 0;
  std::uint32_t turn =
      0;  // 0, or 1 more than the shares of the containers before it on this GPU, in permille
};

/// A limits file that is mapped for writing. Move-only; setters are atomic stores that running containers see
/// at once; one thread at a time.
class LimitsFile {
 public:
  /// Makes the file (mode 0644) with no limits, complete before it has its name. InvalidArgument: no GPU,
  /// more than kMaxGpus or a name that does not fit. Io.
  static Result<LimitsFile> create(const std::filesystem::path& path, const std::vector<GpuUuid>& gpus);
  /// Maps a file that create() made, after a restart. NotFound; Corrupt: it is not one, or of another layout.
  static Result<LimitsFile> open(const std::filesystem::path& path);

  LimitsFile(LimitsFile&& other) noexcept;
  LimitsFile& operator=(LimitsFile&& other) noexcept;
  LimitsFile(const LimitsFile&) = delete;
  LimitsFile& operator=(const LimitsFile&) = delete;
  ~LimitsFile();

  std::size_t gpuCount() const { return region_->gpu_count; }
  GpuUuid uuid(std::size_t gpu) const;
  GpuShare share(std::size_t gpu) const;
  /// Takes effect with the container's next allocation or launch. `gpu` is below gpuCount().
  void setShare(std::size_t gpu, const GpuShare& share);
  void setFeedback(std::size_t gpu, const GpuFeedback& feedback);
  /// Tells the container's processes that this one is dead: its memory is theirs again.
  void markDead(std::uint32_t slot, const SlotOwner& owner);

 private:
  explicit LimitsFile(LimitsRegion* region) : region_(region) {}

  LimitsRegion* region_;
};

/// Makes an empty usage file (mode 0666: containers run as any user). Io.
Result<void> createUsageFile(const std::filesystem::path& path, std::size_t gpu_count);

/// The processes that have reported in, dead ones included. NotFound; Corrupt: the container has damaged its
/// file. Reads a few hundred kilobytes from memory; does not block.
Result<std::vector<ProcessUsage>> readUsageFile(const std::filesystem::path& path, std::size_t gpu_count);

}  // namespace berth::guard
