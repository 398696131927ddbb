// The GPU driver through NVML.
//
// NVML can hang for seconds or for good when a GPU falls off the bus, its handles die with every
// re-initialisation, and a driver may be loaded, updated or removed while we run. So: every call goes through
// one worker thread with a limit, handles are looked up by UUID each time, and a failure to open or
// initialise is never remembered.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "gpu/driver.h"
#include "gpu/nvml/deadline_executor.h"

namespace berth::gpu {

namespace nvml {
class Worker;
}

struct NvmlLimits {
  std::chrono::milliseconds call{5000};           // One call, initialisation aside.
  std::chrono::milliseconds initialise{30000};    // info() and list(): a GPU without persistence mode wakes.
  std::chrono::milliseconds event_interval{200};  // How often waitEvent looks.
};

/// Safe from several threads, as GpuDriver demands. list() re-initialises NVML each time, which on a real
/// driver takes up to seconds and drops events that were not fetched: call it when something may have
/// changed, not to read values. waitEvent fails at once while there is no driver; its caller pauses. The
/// destructor waits for a call that hangs.
class NvmlDriver final : public GpuDriver {
 public:
  /// Opens nothing yet: the first call does.
  explicit NvmlDriver(std::filesystem::path driver_root, NvmlLimits limits = {});
  NvmlDriver(const NvmlDriver&) = delete;
  NvmlDriver& operator=(const NvmlDriver&) = delete;
  ~NvmlDriver() override;

  Result<DriverInfo> info() override;
  Result<std::vector<GpuInfo>> list() override;
  Result<GpuSample> sample(const GpuUuid& uuid) override;
  Result<std::vector<GpuProcess>> processes(const GpuUuid& uuid) override;
  Result<void> setComputeMode(const GpuUuid& uuid, ComputeMode mode) override;
  Result<bool> persistence(const GpuUuid& uuid) override;
  Result<void> setPersistence(const GpuUuid& uuid, bool on) override;
  Result<void> suspend() override;
  void resume() override;
  Result<std::optional<GpuEvent>> waitEvent(std::chrono::milliseconds timeout) override;

 private:
  NvmlLimits limits_;
  std::shared_ptr<nvml::Worker> worker_;  // Touched on the executor's thread only.
  DeadlineExecutor executor_;
};

}  // namespace berth::gpu
