// A VM as libvirt is told about it: plain values, no defaults that matter.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace berth::vm {

using VmName = Named<struct VmNameTag>;

enum class Generation : std::uint8_t {
  V1,  // i440fx and BIOS.
  V2,  // q35 and UEFI.
};

enum class GuestOs : std::uint8_t { Linux, Windows };
enum class Accelerator : std::uint8_t { Kvm, Tcg };

/// A qcow2 file at a data disk's place, its LUN; the guest sees it on a virtio SCSI controller.
struct DataDisk {
  int lun = 0;  // 0 to kMaxLun.
  std::filesystem::path file;
  bool operator==(const DataDisk&) const = default;
};
inline constexpr int kMaxLun = 63;

struct Nic {
  std::string mac;      // "52:54:00:aa:bb:cc"
  std::string network;  // A libvirt network, or empty:
  std::string bridge;   // a bridge of the host.
  bool operator==(const Nic&) const = default;
};

/// Where OVMF lies; only for V2.
struct Firmware {
  std::filesystem::path code = "/usr/share/OVMF/OVMF_CODE_4M.fd";
  std::filesystem::path vars_template = "/usr/share/OVMF/OVMF_VARS_4M.fd";
  std::filesystem::path vars;  // The VM's own copy; libvirt makes it from the template at the first start.
  bool operator==(const Firmware&) const = default;
};

struct VmSpec {
  VmName name;
  std::string id;    // Berth's own; kept in the domain's metadata.
  std::string uuid;  // The domain's; the same at every define of the same VM, or libvirt refuses.
  Generation generation = Generation::V1;
  GuestOs os = GuestOs::Linux;
  Accelerator accelerator = Accelerator::Kvm;
  int vcpus = 1;
  MiB memory;
  Firmware firmware;
  std::filesystem::path os_disk;                  // qcow2
  std::optional<std::filesystem::path> seed_iso;  // A read-only disk for Linux, a CD for Windows.
  std::vector<DataDisk> data_disks;
  std::vector<Nic> nics;
  std::filesystem::path console_socket;  // The serial port, a socket that QEMU listens on.
  std::vector<PciAddress> gpus;          // Real ones, by VFIO; bound to it beforehand.
  int stand_in_gpus = 0;                 // Simulated ones: a PCI device 1234:11e8 each.
};

/// What libvirt calls the VM's domain: "berth-<name>".
std::string domainName(const VmName& name);

/// Where the guest sees stand-in number `index` (from 0): slot 0x10 + index of its root bus.
PciAddress standInAddress(int index);
inline constexpr int kMaxStandIns = 8;

/// A locally administered MAC address that depends on nothing but its arguments (RFC 7042), with QEMU's
/// prefix.
std::string macAddress(std::string_view vm_id, int nic);

}  // namespace berth::vm
