// The controls of the fake libnvidia-ml.so.1 that the adapter's tests open.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "gpu/nvml/nvml_abi.h"

namespace berth::gpu::nvml {

struct FakeNvmlGpu {
  std::string uuid;
  std::string bus_id;
  Return result = kSuccess;           // Of every call on this GPU.
  Return optional_result = kSuccess;  // Of the readings that a GPU may lack.
  int compute_mode = kComputeDefault;
  int persistence = 0;
  std::vector<ProcessInfo> compute{};
  std::vector<ProcessInfo> mps{};
};

/// Read by the library on the driver's worker thread; changed by the test between calls.
struct FakeNvml {
  Return init_result = kSuccess;
  Return set_mode_result = kSuccess;
  int initialised = 0;  // nvmlInit_v2 less nvmlShutdown.
  int inits = 0;
  std::deque<FakeNvmlGpu> plugged;  // What the next nvmlInit_v2 will see.
  std::deque<FakeNvmlGpu> gpus;     // What it saw.
  std::deque<EventData>
      events;  // Of the event set, gone with it; `device` is filled in by the library: the first GPU.
  std::mutex mutex;
  std::condition_variable changed;
  bool hang = false;  // nvmlDeviceGetMemoryInfo_v2 waits until this is false.
  bool hanging = false;
};

}  // namespace berth::gpu::nvml
