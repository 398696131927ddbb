#include "vm/kvm_probe.h"

#include <array>
#include <string>

#include "os/files.h"

namespace berth::vm {
namespace {

constexpr std::size_t kSector = 512;
// Written to QEMU's isa-debug-exit device, which ends QEMU with status 2 * value + 1.
constexpr unsigned char kLives = 0x2a;
constexpr int kStatusWhenAlive = 2 * kLives + 1;

// 16-bit code at 0x7c00:                        32-bit code at 0x7c14:
//   fa              cli                            b0 2a        mov al, 0x2a
//   0f 01 16 20 7c  lgdt [0x7c20]                  e6 f4        out 0xf4, al
//   0f 20 c0        mov eax, cr0                   f4           hlt
//   0c 01           or al, 1                       eb fd        jmp to hlt
//   0f 22 c0        mov cr0, eax
//   ea 14 7c 08 00  jmp 0x08:0x7c14
constexpr std::array<unsigned char, 19> kReal{0xfa, 0x0f, 0x01, 0x16, 0x20, 0x7c, 0x0f, 0x20, 0xc0, 0x0c,
                                              0x01, 0x0f, 0x22, 0xc0, 0xea, 0x14, 0x7c, 0x08, 0x00};
constexpr std::size_t kProtectedAt = 0x14;
constexpr std::array<unsigned char, 7> kProtected{0xb0, kLives, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd};
constexpr std::size_t kGdtPointerAt = 0x20;  // Limit 15, at 0x7c28.
constexpr std::array<unsigned char, 6> kGdtPointer{0x0f, 0x00, 0x28, 0x7c, 0x00, 0x00};
constexpr std::size_t kGdtAt = 0x28;  // The null descriptor, then flat 32-bit code.
constexpr std::array<unsigned char, 16> kGdt{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0};

template <std::size_t N>
void put(std::string& sector, std::size_t at, const std::array<unsigned char, N>& bytes) {
  for (std::size_t i = 0; i < N; ++i) sector[at + i] = static_cast<char>(bytes.at(i));
}

}  // namespace

std::string kvmProbeSector() {
  std::string sector(kSector, '\0');
  put(sector, 0, kReal);
  put(sector, kProtectedAt, kProtected);
  put(sector, kGdtPointerAt, kGdtPointer);
  put(sector, kGdtAt, kGdt);
  put(sector, kSector - 2, std::array<unsigned char, 2>{0x55, 0xaa});
  return sector;
}

bool kvmWorks(os::ProcessRunner& runner, const std::filesystem::path& folder, Deadline deadline) {
  if (!std::filesystem::exists("/dev/kvm")) return false;
  const std::filesystem::path disk = folder / "kvm-probe.img";
  if (!os::writeFileAtomically(disk, kvmProbeSector(), 0600)) return false;
  os::ProcessSpec spec;
  spec.argv = {"qemu-system-x86_64",
               "-accel",
               "kvm",
               "-cpu",
               "host",
               "-m",
               "16",
               "-nodefaults",
               "-display",
               "none",
               "-no-reboot",
               "-device",
               "isa-debug-exit,iobase=0xf4,iosize=0x4",
               "-drive",
               "file=" + disk.string() + ",format=raw,if=floppy"};
  const auto result = runner.run(spec, deadline);
  static_cast<void>(os::removeTree(disk));
  return result && result->status.signal == 0 && result->status.code == kStatusWhenAlive;
}

}  // namespace berth::vm
