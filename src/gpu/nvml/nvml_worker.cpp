#include "gpu/nvml/nvml_worker.h"

#include <array>
#include <cstddef>
#include <string>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "gpu/nvml/nvml_readings.h"

namespace berth::gpu::nvml {
namespace {

constexpr std::size_t kMostKept = 256;  // A GPU that never stops complaining is known to be ill by then.

int rawMode(ComputeMode mode) {
  switch (mode) {
    case ComputeMode::Default:
      return kComputeDefault;
    case ComputeMode::ExclusiveProcess:
      return kComputeExclusiveProcess;
    case ComputeMode::Prohibited:
      return kComputeProhibited;
  }
  return kComputeDefault;
}

Result<std::vector<GpuInfo>> readAll(const Library& library) {
  unsigned count = 0;
  TRY_VOID(library.check(library.functions().nvmlDeviceGetCount_v2(&count), "nvmlDeviceGetCount_v2"));
  std::vector<GpuInfo> gpus;
  for (unsigned index = 0; index < count; ++index) {
    Result<GpuInfo> info = readInfo(library, index);
    if (!info && info.error().reason == "GpuLost") {
      log(LogLevel::Warning, "a GPU does not answer and is not listed", {{"error", info.error().message}});
      continue;
    }
    if (!info) return fail(std::move(info).error());
    gpus.push_back(*std::move(info));
  }
  return gpus;
}

}  // namespace

Worker::~Worker() { stopEvents(); }

Result<DriverInfo> Worker::info() {
  TRY(const Library* const open, library());
  Result<DriverInfo> info = readDriver(*open);
  std::error_code none;
  if (info && !info->simulated) {
    // A driver root of ours without the marker symbol still has the table the simulated GPUs come from.
    info->simulated = std::filesystem::exists(driver_root_ / "share/profiles.txt", none);
  }
  return closeIfGone(std::move(info));
}

Result<std::vector<GpuInfo>> Worker::list() {
  const bool was_open = library_ != nullptr;
  if (was_open) TRY_VOID(reinitialise());
  TRY(const Library* const open, library());
  return closeIfGone(readAll(*open));
}

Result<GpuSample> Worker::sample(const GpuUuid& uuid) {
  TRY(const Library* const open, library());
  Result<Device> device = find(*open, uuid);
  if (!device) return fail(closeIfGone(std::move(device)).error());
  return closeIfGone(readSample(*open, *device, uuid));
}

Result<std::vector<GpuProcess>> Worker::processes(const GpuUuid& uuid) {
  TRY(const Library* const open, library());
  Result<Device> device = find(*open, uuid);
  if (!device) return fail(closeIfGone(std::move(device)).error());
  return closeIfGone(readProcesses(*open, *device, uuid));
}

Result<void> Worker::setComputeMode(const GpuUuid& uuid, ComputeMode mode) {
  TRY(const Library* const open, library());
  Result<Device> device = find(*open, uuid);
  if (!device) return fail(closeIfGone(std::move(device)).error());
  return closeIfGone(open->check(open->functions().nvmlDeviceSetComputeMode(*device, rawMode(mode)),
                                 "nvmlDeviceSetComputeMode", uuid.value));
}

Result<bool> Worker::persistence(const GpuUuid& uuid) {
  TRY(const Library* const open, library());
  Result<Device> device = find(*open, uuid);
  if (!device) return fail(closeIfGone(std::move(device)).error());
  const auto read = open->functions().nvmlDeviceGetPersistenceMode;
  int mode = 0;
  if (read == nullptr || read(*device, &mode) != kSuccess) {
    return fail(ErrorCode::NotFound, "the driver does not tell the persistence mode of " + uuid.value);
  }
  return mode != 0;
}

Result<void> Worker::setPersistence(const GpuUuid& uuid, bool on) {
  TRY(const Library* const open, library());
  Result<Device> device = find(*open, uuid);
  if (!device) return fail(closeIfGone(std::move(device)).error());
  const auto write = open->functions().nvmlDeviceSetPersistenceMode;
  if (write == nullptr) return fail(ErrorCode::NotFound, "the driver knows no persistence mode");
  return closeIfGone(open->check(write(*device, on ? 1 : 0), "nvmlDeviceSetPersistenceMode", uuid.value));
}

Result<void> Worker::suspend() {
  if (library_) keepEvents();
  stopEvents();
  library_.reset();
  suspended_ = true;
  return {};
}

Result<std::optional<GpuEvent>> Worker::pollEvent() {
  if (!kept_.empty()) {
    GpuEvent event = std::move(kept_.front());
    kept_.pop_front();
    return std::optional(std::move(event));
  }
  TRY(const Library* const open, library());
  if (open->functions().nvmlEventSetWait_v2 == nullptr) return std::optional<GpuEvent>{};
  if (events_ == nullptr) TRY_VOID(closeIfGone(startEvents(*open)));
  return closeIfGone(nextOfSet(*open));
}

Result<const Library*> Worker::library() {
  if (suspended_) {
    return fail(Error{
        ErrorCode::Unavailable, "the driver is let go of while a GPU changes hands", "DriverSuspended", {}});
  }
  if (!library_) {
    TRY(library_, Library::open(driver_root_));
  }
  return library_.get();
}

Result<Device> Worker::find(const Library& library, const GpuUuid& uuid) {
  Device device = nullptr;
  const Return code = library.functions().nvmlDeviceGetHandleByUUID(uuid.value.c_str(), &device);
  // What NVML says about a UUID it cannot even parse: there is no such GPU either.
  if (code == kInvalidArgument) return fail(ErrorCode::NotFound, "no GPU has the UUID " + uuid.value);
  TRY_VOID(library.check(code, "nvmlDeviceGetHandleByUUID", uuid.value));
  return device;
}

Result<void> Worker::startEvents(const Library& library) {
  const Functions& nvml = library.functions();
  if (nvml.nvmlEventSetCreate == nullptr || nvml.nvmlDeviceRegisterEvents == nullptr) return {};
  TRY_VOID(library.check(nvml.nvmlEventSetCreate(&events_), "nvmlEventSetCreate"));
  unsigned count = 0;
  TRY_VOID(library.check(nvml.nvmlDeviceGetCount_v2(&count), "nvmlDeviceGetCount_v2"));
  for (unsigned index = 0; index < count; ++index) {
    Device device = nullptr;
    if (nvml.nvmlDeviceGetHandleByIndex_v2(index, &device) != kSuccess) continue;
    // A GPU without ECC refuses the pair, and one too old or lost refuses both: it then has no events.
    constexpr auto kBoth = kEventXidCritical | kEventDoubleBitEcc;
    if (nvml.nvmlDeviceRegisterEvents(device, kBoth, events_) == kSuccess) continue;
    static_cast<void>(nvml.nvmlDeviceRegisterEvents(device, kEventXidCritical, events_));
  }
  return {};
}

Result<std::optional<GpuEvent>> Worker::nextOfSet(const Library& library) {
  EventData data{};
  const Return code = library.functions().nvmlEventSetWait_v2(events_, &data, 0);
  if (code == kTimeout) return std::optional<GpuEvent>{};
  TRY_VOID(library.check(code, "nvmlEventSetWait_v2"));
  return readEvent(library, data);
}

void Worker::keepEvents() {
  while (events_ != nullptr && kept_.size() < kMostKept) {
    Result<std::optional<GpuEvent>> event = nextOfSet(*library_);
    if (!event || !*event) return;
    kept_.push_back(**std::move(event));
  }
}

void Worker::stopEvents() {
  if (events_ != nullptr && library_ && library_->functions().nvmlEventSetFree != nullptr) {
    library_->functions().nvmlEventSetFree(events_);
  }
  events_ = nullptr;
}

// The new set is there before anything else is asked, so that hardly any event falls between the two.
Result<void> Worker::reinitialise() {
  const bool listening = events_ != nullptr;
  keepEvents();
  stopEvents();
  if (Result<void> fresh = library_->reinitialise(); !fresh) {
    library_.reset();
    return fresh;
  }
  return listening ? startEvents(*library_) : Result<void>{};
}

template <typename T>
Result<T> Worker::closeIfGone(Result<T> result) {
  if (!result && result.error().reason == "DriverNotLoaded") {
    stopEvents();
    library_.reset();
  }
  return result;
}

}  // namespace berth::gpu::nvml
