#include "vm/image_probe.h"

#include <array>
#include <string>
#include <utility>

namespace berth::vm {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t kSector = 512;
constexpr std::string_view kVhdCookie = "conectix";
constexpr std::string_view kVhdxMagic = "vhdxfile";
constexpr std::string_view kQcowMagic = "QFI\xfb"sv;
constexpr std::uint64_t kMostVirtual = std::uint64_t{64} << 40U;  // 64 TiB

/// Magic numbers at a file's start that mean something Berth does not take.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kForeign{{
    {"KDMV"sv, "a VMDK"},
    {"# Disk DescriptorFile"sv, "a VMDK"},
    {"<<< "sv, "a VDI"},
    {"QED\0"sv, "a QED image"},
    {"\x1f\x8b"sv, "compressed with gzip; unpack it first"},
    {"\xfd"
     "7zXZ"sv,
     "compressed with xz; unpack it first"},
    {"PK\x03\x04"sv, "a zip archive; unpack it first"},
}};

tl::unexpected<Error> bad(std::string message) {
  return fail(Error{ErrorCode::InvalidArgument, std::move(message), "BadImage", {}});
}

tl::unexpected<Error> unsafe(std::string message) {
  return fail(Error{ErrorCode::Denied, std::move(message), "UnsafeImage", {}});
}

/// A big-endian number of `width` bytes; the caller checked that they are there.
std::uint64_t big(std::string_view bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = at; i < at + width; ++i) value = value << 8U | static_cast<unsigned char>(bytes[i]);
  return value;
}

Result<std::uint64_t> checkedSize(std::uint64_t bytes) {
  if (bytes == 0) return bad("the disk in the image is empty");
  if (bytes % kSector != 0)
    return bad("its size, " + std::to_string(bytes) + " bytes, is no multiple of 512");
  if (bytes > kMostVirtual)
    return bad("its disk of " + std::to_string(bytes) + " bytes is larger than 64 TiB");
  return bytes;
}

/// One's complement of the sum of all bytes but the checksum's own (VHD specification, "Checksum").
bool footerIsSound(std::string_view footer) {
  constexpr std::size_t kChecksumAt = 64;
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kSector; ++i) {
    if (i < kChecksumAt || i >= kChecksumAt + 4) sum += static_cast<unsigned char>(footer[i]);
  }
  return static_cast<std::uint32_t>(big(footer, kChecksumAt, 4)) == ~sum;
}

Result<ImageProbe> probeVhd(const ImageBytes& bytes) {
  constexpr std::size_t kCurrentSizeAt = 48;
  constexpr std::size_t kTypeAt = 60;
  constexpr std::uint64_t kFixed = 2;
  constexpr std::uint64_t kDynamic = 3;
  if (bytes.tail.size() < kSector || !bytes.tail.starts_with(kVhdCookie)) {
    return bad("the VHD has no footer in its last 512 bytes; the file is cut off or damaged");
  }
  const std::string_view footer = bytes.tail.substr(0, kSector);
  if (!footerIsSound(footer)) return bad("the VHD's footer is damaged: its checksum does not match");
  const std::uint64_t type = big(footer, kTypeAt, 4);
  if (type == 4) return bad("the VHD is a differencing disk; merge it into its parent first");
  if (type != kFixed && type != kDynamic) return bad("the VHD is of unknown type " + std::to_string(type));
  TRY(const auto size, checkedSize(big(footer, kCurrentSizeAt, 8)));
  if (type == kFixed && bytes.file_size != size + kSector) {
    return bad("the fixed VHD says " + std::to_string(size) + " bytes and holds " +
               std::to_string(bytes.file_size - kSector));
  }
  return ImageProbe{ImageFormat::Vhd, size};
}

Result<ImageProbe> probeQcow2(std::string_view head) {
  constexpr std::size_t kV2Header = 72;
  constexpr std::size_t kV3Header = 104;
  constexpr std::uint64_t kDirtyOrCompressionOrExtended = 0x1 | 0x8 | 0x10;
  constexpr std::uint64_t kExternalData = 0x4;
  if (head.size() < kV2Header) return bad("the qcow2 header is cut off");
  const std::uint64_t version = big(head, 4, 4);
  if (version != 2 && version != 3)
    return bad("qcow version " + std::to_string(version) + " is not supported");
  if (big(head, 8, 8) != 0)
    return unsafe("the qcow2 has a backing file; flatten it with qemu-img convert first");
  if (big(head, 32, 4) != 0) return bad("the qcow2 is encrypted");
  if (version == 3) {
    if (head.size() < kV3Header) return bad("the qcow2 header is cut off");
    const std::uint64_t features = big(head, 72, 8);
    if ((features & kExternalData) != 0) return unsafe("the qcow2 keeps its data in another file");
    if ((features & ~kDirtyOrCompressionOrExtended) != 0) {
      return bad("the qcow2 is marked damaged or needs features that are not known");
    }
  }
  TRY(const auto size, checkedSize(big(head, 24, 8)));
  return ImageProbe{ImageFormat::Qcow2, size};
}

}  // namespace

Result<ImageProbe> probeImage(const ImageBytes& bytes, std::string_view extension) {
  if (bytes.file_size == 0) return bad("the file is empty");
  if (bytes.head.starts_with(kQcowMagic)) return probeQcow2(bytes.head);
  if (bytes.head.starts_with(kVhdxMagic)) return ImageProbe{ImageFormat::Vhdx, 0};
  if (extension == ".vhd" || bytes.head.starts_with(kVhdCookie) || bytes.tail.starts_with(kVhdCookie)) {
    return probeVhd(bytes);
  }
  if (extension == ".qcow2" || extension == ".vhdx") {
    return bad("the file is named " + std::string(extension) + " and is none");
  }
  for (const auto& [magic, what] : kForeign) {
    if (bytes.head.starts_with(magic)) return bad("the file is " + std::string(what));
  }
  TRY(const auto size, checkedSize(bytes.file_size));
  return ImageProbe{ImageFormat::Raw, size};
}

std::string_view qemuName(ImageFormat format) {
  switch (format) {
    case ImageFormat::Raw:
      return "raw";
    case ImageFormat::Qcow2:
      return "qcow2";
    case ImageFormat::Vhd:
      return "vpc";
    case ImageFormat::Vhdx:
      return "vhdx";
  }
  return "raw";
}

}  // namespace berth::vm
