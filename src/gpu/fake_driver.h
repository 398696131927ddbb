// A driver without GPUs: what each call finds is in public fields.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gpu/driver.h"

namespace berth::gpu {

/// A GPU of the fake with nothing special about it.
inline GpuInfo fakeGpu(int number) {
  const std::string digit = std::to_string(number);
  GpuInfo info;
  info.uuid = GpuUuid("GPU-0000000" + digit);
  info.pci = PciAddress("0000:0" + digit + ":00.0");
  info.name = "Tesla T4";
  info.memory_bytes = std::int64_t{15360} << 20;
  info.compute_major = 7;
  info.compute_minor = 5;
  info.minor_number = number;
  return info;
}

/// Keeps state, records effects, fails on request. NotFound for GPUs the test did not add. One thread.
class FakeGpuDriver final : public GpuDriver {
 public:
  Result<DriverInfo> info() override {
    if (failure) return fail(*failure);
    return driver;
  }
  Result<std::vector<GpuInfo>> list() override {
    if (failure) return fail(*failure);
    if (suspended)
      return fail(Error{ErrorCode::Unavailable, "the driver is suspended", "DriverSuspended", {}});
    return gpus;
  }
  Result<GpuSample> sample(const GpuUuid& uuid) override {
    TRY_VOID(check(uuid));
    GpuSample sample = samples[uuid];
    sample.compute_mode = compute_modes[uuid];
    return sample;
  }
  Result<std::vector<GpuProcess>> processes(const GpuUuid& uuid) override {
    TRY_VOID(check(uuid));
    return running[uuid];
  }
  Result<void> setComputeMode(const GpuUuid& uuid, ComputeMode mode) override {
    TRY_VOID(check(uuid));
    if (set_mode_failure) return fail(*set_mode_failure);
    compute_modes[uuid] = mode;
    return {};
  }
  Result<bool> persistence(const GpuUuid& uuid) override {
    TRY_VOID(check(uuid));
    return persistent.contains(uuid);
  }
  Result<void> setPersistence(const GpuUuid& uuid, bool on) override {
    TRY_VOID(check(uuid));
    if (on) persistent.insert(uuid);
    if (!on) persistent.erase(uuid);
    return {};
  }
  Result<void> suspend() override {
    suspended = true;
    return {};
  }
  void resume() override { suspended = false; }
  Result<std::optional<GpuEvent>> waitEvent(std::chrono::milliseconds /*timeout*/) override {
    if (failure) return fail(*failure);
    if (events.empty()) return std::optional<GpuEvent>{};
    std::optional<GpuEvent> event(events.front());
    events.pop_front();
    return event;
  }

  DriverInfo driver{"535.183.01", "12.2", true};
  std::vector<GpuInfo> gpus;
  std::map<GpuUuid, GpuSample> samples;
  std::map<GpuUuid, std::vector<GpuProcess>> running;
  std::map<GpuUuid, ComputeMode> compute_modes;
  std::set<GpuUuid> persistent;
  bool suspended = false;
  std::deque<GpuEvent> events;
  std::optional<Error> failure;           // What every call comes to while it is set.
  std::optional<Error> set_mode_failure;  // What setComputeMode comes to.

 private:
  Result<void> check(const GpuUuid& uuid) const {
    if (failure) return fail(*failure);
    if (suspended)
      return fail(Error{ErrorCode::Unavailable, "the driver is suspended", "DriverSuspended", {}});
    if (std::ranges::find(gpus, uuid, &GpuInfo::uuid) != gpus.end()) return {};
    return fail(ErrorCode::NotFound, "no GPU " + uuid.value);
  }
};

}  // namespace berth::gpu
