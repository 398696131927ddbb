// What sysfs says that matters for giving a GPU to a VM: every PCI function with its IOMMU group, driver and
// power settings, whether the IOMMU is on, and whether vfio-pci is there. Plain values: the plan is made from
// these alone.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "gpu/pci.h"

namespace berth::vfio {

inline constexpr const char* kVfioDriver = "vfio-pci";

/// Empty text: the kernel has no such attribute for this function.
struct Function {
  gpu::PciDevice device;
  std::string driver_override;
  std::string power_control;   // "auto", "on"
  std::string d3cold_allowed;  // "0", "1"
  std::string power_state;     // "D0", "D3cold", "unknown"
  bool operator==(const Function&) const = default;
};

struct Survey {
  std::vector<Function> functions;  // By address.
  bool iommu_on = false;            // Some device has a group.
  bool vfio_loaded = false;         // The kernel has the driver vfio-pci.
  std::string cpu_vendor;           // "GenuineIntel", "AuthenticAMD"; empty: not told.
  std::string kernel_command_line;
};

const Function* find(const Survey& survey, const PciAddress& address);

/// Looks around. Does not block. Errors are PciBus's.
Result<Survey> survey(const std::filesystem::path& sysfs = "/sys",
                      const std::filesystem::path& proc = "/proc");

}  // namespace berth::vfio
