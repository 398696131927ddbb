// The device side of the load: the kernel, its calibration, memory, and one stream's requests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../common/cuda.h"
#include "options.h"

namespace berth::samples {

/// PTX of a kernel that computes for `iterations` rounds of a loop. A simulated GPU takes `nanoseconds` for
/// it, by a comment that real drivers skip.
std::string loadKernel(double nanoseconds);

/// A device with the kernel loaded and the working set in its memory. Every call throws CallError when the
/// driver refuses. Threads other than the maker's call `enter` first.
class GpuLoad {
 public:
  GpuLoad(const Cuda& cuda, const LoadOptions& options);
  GpuLoad(const GpuLoad&) = delete;
  GpuLoad& operator=(const GpuLoad&) = delete;
  ~GpuLoad();

  /// Makes the device current for the calling thread.
  void enter() const;
  const std::string& deviceName() const { return name_; }
  /// SMs that a kernel fills.
  std::uint32_t sms() const { return sms_; }
  std::uint32_t iterations() const { return iterations_; }

 private:
  friend class LoadStream;
  void openDevice();
  void loadModule();
  void allocate();
  void calibrate();
  void launch(sim::cu::CUstream stream) const;
  double measure(sim::cu::CUstream stream) const;

  const Cuda& cuda_;
  const LoadOptions& options_;
  sim::cu::CUdevice device_ = 0;
  sim::cu::CUcontext context_ = nullptr;
  sim::cu::CUfunction function_ = nullptr;
  std::vector<sim::cu::CUdeviceptr> memory_;
  sim::cu::CUdeviceptr sink_ = 0;
  std::string name_;
  std::uint32_t sms_ = 0;
  std::uint32_t iterations_ = 0;
};

/// A stream and how a request goes through it. Used by one thread at a time.
class LoadStream {
 public:
  explicit LoadStream(const GpuLoad& load);

  /// Launches a request's kernels and waits for them; the time between the events around them, in ms.
  double run();

 private:
  void submit();

  const GpuLoad& load_;
  sim::cu::CUstream stream_ = nullptr;
  sim::cu::CUevent start_ = nullptr;
  sim::cu::CUevent stop_ = nullptr;
  sim::cu::CUgraphExec graph_ = nullptr;
};

}  // namespace berth::samples
