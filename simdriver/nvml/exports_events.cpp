// NVML: events. A set remembers, for each of its devices, the last event it has told.
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

#include "nvml/library.h"

using berth::sim::EventRecord;
using berth::sim::kDoubleBitEvent;
using berth::sim::kXidEvent;
using berth::sim::LockedGpu;
using berth::sim::StateFile;
using berth::sim::Status;
using berth::sim::nvml::get;
using berth::sim::nvml::library;
using berth::sim::nvml::onGpu;

namespace {

constexpr unsigned long long kSupported = kXidEvent | kDoubleBitEvent;
constexpr unsigned long long kKnownTypes = 0x1FF;
constexpr auto kPollEvery = std::chrono::milliseconds(10);

struct Registration {
  nvmlDevice_t device = nullptr;
  unsigned long long types = 0;
  std::uint64_t seen = 0;
};

struct Told {
  nvmlDevice_t device = nullptr;
  EventRecord event;
};

}  // namespace

struct nvmlEventSet_st {  // NOLINT(readability-identifier-naming): NVIDIA's name
  std::mutex mutex;
  std::vector<Registration> registrations;
};

namespace {

struct EventSets {
  std::mutex mutex;
  std::vector<std::shared_ptr<nvmlEventSet_st>> sets;
};

EventSets& eventSets() {
  static auto* sets = new EventSets;  // Never destroyed: a thread may wait while the process exits.
  return *sets;
}

std::shared_ptr<nvmlEventSet_st> find(nvmlEventSet_t set) {
  EventSets& all = eventSets();
  const std::scoped_lock guard(all.mutex);
  for (const auto& known : all.sets) {
    if (known.get() == set) return known;
  }
  return nullptr;
}

/// The next event of one device that the set asked for. Works on a lost GPU too: its loss is an event.
std::optional<Told> next(Registration& registration) {
  LockedGpu gpu(*registration.device->file);
  if (gpu.status() != Status::Ok) return std::nullopt;
  const std::uint64_t last = gpu.lastEvent();
  if (last > registration.seen + berth::sim::kMaxEvents) registration.seen = last - berth::sim::kMaxEvents;
  while (registration.seen < last) {
    const auto event = gpu.event(++registration.seen);
    if (event && (event->type & registration.types) != 0) return Told{registration.device, *event};
  }
  return std::nullopt;
}

std::optional<Told> next(nvmlEventSet_st& set) {
  const std::scoped_lock guard(set.mutex);
  for (Registration& registration : set.registrations) {
    if (auto told = next(registration)) return told;
  }
  return std::nullopt;
}

template <typename Data>
nvmlReturn_t wait(nvmlEventSet_t handle, Data* data, unsigned int timeout_ms) {
  if (!library().initialised()) return NVML_ERROR_UNINITIALIZED;
  const auto set = find(handle);
  if (!set || data == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (true) {
    if (const auto told = next(*set)) {
      *data = Data{};
      data->device = told->device;
      data->eventType = told->event.type;
      data->eventData = told->event.data;
      if constexpr (std::is_same_v<Data, nvmlEventData_v2_t>) {
        data->gpuInstanceId = NVML_NO_INSTANCE;
        data->computeInstanceId = NVML_NO_INSTANCE;
      }
      return NVML_SUCCESS;
    }
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds::zero()) return NVML_ERROR_TIMEOUT;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, kPollEvery));
  }
}

}  // namespace

extern "C" {

nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long* types) {
  return get(device, types, [](StateFile&, LockedGpu&) { return kSupported; });
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t* set) {
  if (!library().initialised()) return NVML_ERROR_UNINITIALIZED;
  if (set == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
  EventSets& all = eventSets();
  const std::scoped_lock guard(all.mutex);
  all.sets.push_back(std::make_shared<nvmlEventSet_st>());
  *set = all.sets.back().get();
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t handle) {
  if (!library().initialised()) return NVML_ERROR_UNINITIALIZED;
  const auto set = find(handle);
  if (!set || types == 0 || (types & ~kKnownTypes) != 0) return NVML_ERROR_INVALID_ARGUMENT;
  if ((types & ~kSupported) != 0) return NVML_ERROR_NOT_SUPPORTED;
  std::uint64_t seen = 0;
  const nvmlReturn_t found = onGpu(device, [&seen](StateFile&, LockedGpu& gpu) {
    seen = gpu.lastEvent();
    return NVML_SUCCESS;
  });
  if (found != NVML_SUCCESS) return found;
  const std::scoped_lock guard(set->mutex);
  for (Registration& registration : set->registrations) {
    if (registration.device != device) continue;
    registration.types |= types;
    return NVML_SUCCESS;
  }
  set->registrations.push_back({device, types, seen});
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetWait(nvmlEventSet_t set, nvmlEventData_v1_t* data, unsigned int timeout_ms) {
  return wait(set, data, timeout_ms);
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_v2_t* data, unsigned int timeout_ms) {
  return wait(set, data, timeout_ms);
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t handle) {
  if (!library().initialised()) return NVML_ERROR_UNINITIALIZED;
  EventSets& all = eventSets();
  const std::scoped_lock guard(all.mutex);
  const auto freed = std::erase_if(all.sets, [handle](const auto& set) { return set.get() == handle; });
  return freed == 0 ? NVML_ERROR_INVALID_ARGUMENT : NVML_SUCCESS;
}
}
