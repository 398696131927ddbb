// What the NVML driver keeps on its worker thread: the open library and the set of events it registered for.
#pragma once

#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "gpu/driver.h"
#include "gpu/nvml/nvml_library.h"

namespace berth::gpu::nvml {

/// One thread at a time. Contracts are GpuDriver's; every call opens the library when it is not open.
class Worker {
 public:
  explicit Worker(std::filesystem::path driver_root) : driver_root_(std::move(driver_root)) {}
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  Result<DriverInfo> info();
  Result<std::vector<GpuInfo>> list();
  Result<GpuSample> sample(const GpuUuid& uuid);
  Result<std::vector<GpuProcess>> processes(const GpuUuid& uuid);
  Result<void> setComputeMode(const GpuUuid& uuid, ComputeMode mode);
  Result<bool> persistence(const GpuUuid& uuid);
  Result<void> setPersistence(const GpuUuid& uuid, bool on);
  Result<void> suspend();
  void resume() { suspended_ = false; }
  /// An event that has happened since the last call, without waiting.
  Result<std::optional<GpuEvent>> pollEvent();

 private:
  Result<const Library*> library();
  Result<Device> find(const Library& library, const GpuUuid& uuid);
  Result<void> startEvents(const Library& library);
  /// What the set of events holds next, without waiting.
  Result<std::optional<GpuEvent>> nextOfSet(const Library& library);
  /// Takes over what the set of events still holds: it is lost with the set.
  void keepEvents();
  void stopEvents();
  Result<void> reinitialise();
  /// Passes a result on, and closes the library when the driver below it is gone, so that the next call
  /// opens what is there then.
  template <typename T>
  Result<T> closeIfGone(Result<T> result);

  std::filesystem::path driver_root_;
  std::unique_ptr<Library> library_;
  bool suspended_ = false;
  EventSet events_ = nullptr;
  std::deque<GpuEvent> kept_;  // Older than whatever the set holds.
};

}  // namespace berth::gpu::nvml
