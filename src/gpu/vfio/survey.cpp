#include "gpu/vfio/survey.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/text.h"
#include "os/files.h"

namespace berth::vfio {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kAttributeLimit = 4096;
constexpr std::size_t kCpuInfoLimit = std::size_t{8} << 20;

/// The attribute's text; empty where it is missing.
std::string attribute(const fs::path& file) {
  const Result<std::string> text = os::readFile(file, kAttributeLimit);
  return text ? std::string(trim(*text)) : std::string();
}

Function readFunction(const fs::path& folder, gpu::PciDevice device) {
  Function function;
  function.device = std::move(device);
  function.driver_override = attribute(folder / "driver_override");
  if (function.driver_override == "(null)") function.driver_override.clear();  // The kernel's "none".
  function.power_control = attribute(folder / "power/control");
  function.d3cold_allowed = attribute(folder / "d3cold_allowed");
  function.power_state = attribute(folder / "power_state");
  return function;
}

std::string cpuVendor(const fs::path& proc) {
  const Result<std::string> text = os::readFile(proc / "cpuinfo", kCpuInfoLimit);
  if (!text) return {};
  constexpr std::string_view kKey = "vendor_id";
  const std::size_t at = text->find(kKey);
  if (at == std::string::npos) return {};
  const std::string line = text->substr(at, text->find('\n', at) - at);
  const std::size_t colon = line.find(':');
  return colon == std::string::npos ? std::string()
                                    : std::string(trim(std::string_view(line).substr(colon + 1)));
}

}  // namespace

const Function* find(const Survey& survey, const PciAddress& address) {
  const auto found = std::ranges::find_if(
      survey.functions, [&](const Function& function) { return function.device.address == address; });
  return found == survey.functions.end() ? nullptr : &*found;
}

Result<Survey> survey(const fs::path& sysfs, const fs::path& proc) {
  Survey seen;
  TRY(std::vector<gpu::PciDevice> devices, gpu::PciBus(sysfs).devices());
  for (gpu::PciDevice& device : devices) {
    seen.iommu_on = seen.iommu_on || device.iommu_group.has_value();
    const fs::path folder = sysfs / "bus/pci/devices" / device.address.value;
    seen.functions.push_back(readFunction(folder, std::move(device)));
  }
  std::error_code none;
  seen.vfio_loaded = fs::exists(sysfs / "bus/pci/drivers" / kVfioDriver, none);
  seen.cpu_vendor = cpuVendor(proc);
  if (const Result<std::string> line = os::readFile(proc / "cmdline", kAttributeLimit)) {
    seen.kernel_command_line = trim(*line);
  }
  return seen;
}

}  // namespace berth::vfio
