#include "gpu/nvml/nvml_driver.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "gpu/nvml/nvml_worker.h"

namespace berth::gpu {

NvmlDriver::NvmlDriver(std::filesystem::path driver_root, NvmlLimits limits)
    : limits_(limits),
      worker_(std::make_shared<nvml::Worker>(std::move(driver_root))),
      executor_("the NVIDIA driver") {}

NvmlDriver::~NvmlDriver() = default;

Result<DriverInfo> NvmlDriver::info() {
  return executor_.call<DriverInfo>(limits_.initialise, [worker = worker_] { return worker->info(); });
}

Result<std::vector<GpuInfo>> NvmlDriver::list() {
  return executor_.call<std::vector<GpuInfo>>(limits_.initialise,
                                              [worker = worker_] { return worker->list(); });
}

Result<GpuSample> NvmlDriver::sample(const GpuUuid& uuid) {
  return executor_.call<GpuSample>(limits_.call, [worker = worker_, uuid] { return worker->sample(uuid); });
}

Result<std::vector<GpuProcess>> NvmlDriver::processes(const GpuUuid& uuid) {
  return executor_.call<std::vector<GpuProcess>>(
      limits_.call, [worker = worker_, uuid] { return worker->processes(uuid); });
}

Result<void> NvmlDriver::setComputeMode(const GpuUuid& uuid, ComputeMode mode) {
  return executor_.call<void>(limits_.call,
                              [worker = worker_, uuid, mode] { return worker->setComputeMode(uuid, mode); });
}

Result<bool> NvmlDriver::persistence(const GpuUuid& uuid) {
  return executor_.call<bool>(limits_.call, [worker = worker_, uuid] { return worker->persistence(uuid); });
}

Result<void> NvmlDriver::setPersistence(const GpuUuid& uuid, bool on) {
  return executor_.call<void>(limits_.call,
                              [worker = worker_, uuid, on] { return worker->setPersistence(uuid, on); });
}

Result<void> NvmlDriver::suspend() {
  return executor_.call<void>(limits_.call, [worker = worker_] { return worker->suspend(); });
}

void NvmlDriver::resume() {
  // A worker that hangs is found hanging by the next call, which says so.
  static_cast<void>(executor_.call<void>(limits_.call, [worker = worker_]() -> Result<void> {
    worker->resume();
    return {};
  }));
}

Result<std::optional<GpuEvent>> NvmlDriver::waitEvent(std::chrono::milliseconds timeout) {
  // Short looks instead of one long wait: NVML's own wait would keep every other call waiting too.
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    TRY(std::optional<GpuEvent> event,
        executor_.call<std::optional<GpuEvent>>(limits_.initialise,
                                                [worker = worker_] { return worker->pollEvent(); }));
    const auto left = deadline - std::chrono::steady_clock::now();
    if (event || left <= std::chrono::milliseconds(0)) return event;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(limits_.event_interval, left));
  }
}

}  // namespace berth::gpu
