// GPUs as the PCI bus shows them, in sysfs. NVML knows only the GPUs that the NVIDIA driver holds; a GPU that
// is bound to vfio-pci for a VM, or to nothing, is still here. Also what NVML does not tell: IOMMU group and
// NUMA node.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace berth::gpu {

struct PciId {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  auto operator<=>(const PciId&) const = default;
};

struct PciDevice {
  PciAddress address;
  std::uint32_t class_code = 0;  // 24 bits: 0x030200 is a 3D controller.
  PciId id;
  std::optional<int> numa_node;  // nullopt: the machine has one, or does not say.
  std::optional<int> iommu_group;
  std::string driver;  // "nvidia", "vfio-pci"; empty: none.
  bool operator==(const PciDevice&) const = default;
};

/// The address in our spelling, "0000:3b:00.0", from sysfs's ("0000:3b:00.0", "10000:01:00.0") or NVML's
/// ("00000000:3B:00.0"); nullopt for anything else.
std::optional<PciAddress> parsePciAddress(std::string_view text);

/// True for a display controller (class 03xx) of NVIDIA, and for each device whose id is in `also`: what the
/// configuration names as a GPU besides.
bool isGpu(const PciDevice& device, const std::vector<PciId>& also);

/// Reads a sysfs tree. Does not block. Safe from every thread.
class PciBus {
 public:
  explicit PciBus(std::filesystem::path sysfs = "/sys") : sysfs_(std::move(sysfs)) {}

  /// Every function on the bus, by address. A machine without PCI has none.
  Result<std::vector<PciDevice>> devices() const;
  /// NotFound: no such device on the bus.
  Result<PciDevice> device(const PciAddress& address) const;
  /// Those of devices() that are GPUs.
  Result<std::vector<PciDevice>> gpus(const std::vector<PciId>& also) const;

 private:
  std::filesystem::path sysfs_;
};

}  // namespace berth::gpu
