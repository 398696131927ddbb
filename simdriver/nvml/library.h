// What is behind NVML's functions: whether the library is initialised, which GPUs it enumerated, and what a
// handle means. A C interface without a context argument needs one object per process; it is reached only
// through library(), and never destroyed, as threads may call in while the process exits.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/gpu.h"
#include "engine/session.h"
#include "engine/state_file.h"
#include "nvml/nvml_abi.h"

// Handles point to these. They live as long as the process, so that an old handle is never a dangling one.
struct nvmlDevice_st {  // NOLINT(readability-identifier-naming): NVIDIA's name
  std::shared_ptr<berth::sim::StateFile> file;
  std::string state_path;
};

namespace berth::sim::nvml {

class Library {
 public:
  /// Counts up; the first enumerates the GPUs anew.
  nvmlReturn_t init();
  /// Counts down.
  nvmlReturn_t shutdown();

  bool initialised();
  /// The enumerated GPUs, in PCI order.
  std::vector<nvmlDevice_t> devices();
  /// True for a handle this library gave out, now or before the last init.
  bool knows(nvmlDevice_t handle);

 private:
  nvmlDevice_t handleOf(const VisibleGpu& gpu);

  std::mutex mutex_;
  int users_ = 0;
  std::vector<std::unique_ptr<nvmlDevice_st>> handles_;  // All ever given out.
  std::vector<nvmlDevice_t> enumerated_;
};

Library& library();

/// Runs fn(StateFile&, LockedGpu&) -> nvmlReturn_t on the GPU of `handle`, up to date and locked.
/// UNINITIALIZED, INVALID_ARGUMENT (no handle of ours), GPU_IS_LOST (off the bus, bound to vfio, file gone
/// bad).
template <typename Fn>
nvmlReturn_t onGpu(nvmlDevice_t handle, Fn&& fn) {
  if (!library().initialised()) return NVML_ERROR_UNINITIALIZED;
  if (!library().knows(handle)) return NVML_ERROR_INVALID_ARGUMENT;
  if (handle->file->inherited() &&
      StateFile::open(handle->state_path, handle->file, Access::Snapshot) != Status::Ok) {
    return NVML_ERROR_GPU_IS_LOST;
  }
  LockedGpu gpu(*handle->file);
  if (gpu.status() == Status::Io) return NVML_ERROR_UNKNOWN;
  if (gpu.status() != Status::Ok || gpu.lost() || gpu.bound()) return NVML_ERROR_GPU_IS_LOST;
  gpu.reap();  // So that what the dead held is never shown.
  return fn(*handle->file, gpu);
}

/// The usual getter: *out = fn(StateFile&, LockedGpu&).
template <typename T, typename Fn>
nvmlReturn_t get(nvmlDevice_t handle, T* out, Fn&& fn) {
  if (!library().initialised()) return NVML_ERROR_UNINITIALIZED;
  if (out == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  return onGpu(handle, [&](StateFile& file, LockedGpu& gpu) {
    *out = static_cast<T>(fn(file, gpu));
    return NVML_SUCCESS;
  });
}

/// Copies `text` with its end into a caller's buffer. INSUFFICIENT_SIZE when it does not fit.
nvmlReturn_t copyText(std::string_view text, char* out, unsigned int length);

}  // namespace berth::sim::nvml
