// Property: whatever sysfs or NVML gives as a PCI address, it is refused or spelled our way, which is read as
// itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gpu/pci.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto address =
      berth::gpu::parsePciAddress(std::string_view(reinterpret_cast<const char*>(data), size));
  if (address && berth::gpu::parsePciAddress(address->value) != address) std::abort();
  return 0;
}
