// Property: whatever the bytes, what is taken has a size that is a multiple of 512, and a qcow2 that is taken
// names no other file.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vm/image_probe.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth::vm;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t tail = std::min(size, kProbeTail);
  for (const std::string_view extension : {"", ".vhd"}) {
    const auto probe = probeImage({bytes.substr(0, kProbeHead), bytes.substr(size - tail), size}, extension);
    if (!probe) continue;
    if (probe->virtual_bytes % 512 != 0) std::abort();
    if (probe->format == ImageFormat::Qcow2 &&
        bytes.substr(8, 8).find_first_not_of('\0') != std::string_view::npos) {
      std::abort();
    }
  }
  return 0;
}
