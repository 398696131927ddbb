// What a VM size is (rule B6: sizes are data).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/types.h"

namespace berth::vm {

enum class SizeOrigin : std::uint8_t {
  Builtin,  // Of the installed catalogue; cannot be changed.
  Custom,   // One of the appliance's Custom_* names: fixed name, numbers set by Set-HcsVMCustomSizes.
  User,     // Added here.
};

/// Throughput limits in I/O operations a second; 0: none.
struct SizeIops {
  int os_disk = 0;
  int temp_disk = 0;
  int data_disk = 0;
  bool operator==(const SizeIops&) const = default;
};

struct VmSize {
  std::string name;
  int vcpus = 0;
  MiB memory;
  int temp_gib = 0;
  int max_data_disks = 0;
  int max_nics = 0;
  SizeIops iops;
  bool premium_storage = false;
  bool high_performance_network = false;
  std::string gpu_model;  // "T4"; empty: a size without GPU.
  int gpus = 0;
  int gpu_memory_gib = 0;  // Of all its GPUs together.
  SizeOrigin origin = SizeOrigin::Builtin;
  bool operator==(const VmSize&) const = default;
};

/// True when a GPU that NVML calls `gpu_name` ("Tesla T4", "NVIDIA A2", "NVIDIA A100-PCIE-40GB") is of
/// `model`
/// ("T4", "A2", "A100"): the model is one of the name's words. "NVIDIA RTX A2000" is no A2.
bool isGpuModel(std::string_view gpu_name, std::string_view model);

}  // namespace berth::vm
