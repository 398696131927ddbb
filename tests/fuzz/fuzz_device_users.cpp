// Property: the texts of sysfs and /proc that users of a GPU are found by never yield a number out of range
// or a container's name that is not 64 digits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <sys/sysmacros.h>

#include "gpu/vfio/users.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth::vfio;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto number = parseDeviceNumber(bytes);
      number && (major(*number) > 4095 || minor(*number) > 1048575)) {
    std::abort();
  }
  if (const auto number = parseNvidiaMinor(bytes); number && *number > 1048575) std::abort();
  if (const auto groups = berth::os::parseCgroup(bytes)) {
    const std::string id = containerIn(*groups);
    if (!id.empty() && id.size() != 64) std::abort();
  }
  return 0;
}
