// What a disk image file really is, told from its bytes and never from its name alone: a file that an
// operator calls raw may be a qcow2 that points at the host's own files. Formats: the VHD specification
// (Microsoft, 2006), the VHDX specification 1.00, and QEMU's docs/interop/qcow2.txt. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace berth::vm {

enum class ImageFormat : std::uint8_t { Raw, Qcow2, Vhd, Vhdx };

inline constexpr std::size_t kProbeHead = 4096;
inline constexpr std::size_t kProbeTail = 512;

/// The first kProbeHead and the last kProbeTail bytes of a file, or all of a smaller one.
struct ImageBytes {
  std::string_view head;
  std::string_view tail;
  std::uint64_t file_size = 0;
};

struct ImageProbe {
  ImageFormat format = ImageFormat::Raw;
  std::uint64_t virtual_bytes = 0;  // 0: the header does not say (VHDX).
  bool operator==(const ImageProbe&) const = default;
};

/// InvalidArgument with reason BadImage: empty, a VHD whose footer is missing or fails its checksum, a size
/// that is no multiple of 512, a differencing VHD, a format Berth does not take. Denied with reason
/// UnsafeImage: a qcow2 with a backing file or an external data file. `extension` (".vhd", lower case) only
/// makes refusals stricter: a .vhd without a footer is a broken VHD and no raw disk.
Result<ImageProbe> probeImage(const ImageBytes& bytes, std::string_view extension);

/// qemu-img's name of the format: "raw", "qcow2", "vpc", "vhdx".
std::string_view qemuName(ImageFormat format);

}  // namespace berth::vm
