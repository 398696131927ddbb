// The IOMMU group of a GPU: the smallest set of PCI functions that the hardware keeps apart from the rest,
// and so the smallest that can go to a VM. Names what is in it and says of each member whether, and why, it
// is in the way. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "gpu/vfio/survey.h"

namespace berth::vfio {

// Reasons of refusals (B17); they never change.
inline constexpr const char* kIommuOff = "IommuOff";
inline constexpr const char* kDeviceNotFound = "DeviceNotFound";
inline constexpr const char* kGroupNotViable = "IommuGroupNotViable";
inline constexpr const char* kVfioMissing = "VfioDriverMissing";
inline constexpr const char* kDeviceInUse = "DeviceInUse";
inline constexpr const char* kSysfsHung = "SysfsHung";

enum class Role : std::uint8_t {
  Gpu,        // Asked for.
  Companion,  // Another function of such a card (audio, USB): goes along.
  Bridge,     // Stays as it is.
  Idle,       // Something else that no driver of the host uses: stays as it is.
  InTheWay,   // Something else that the host uses, or a GPU that was not asked for.
};

struct Member {
  PciAddress address;
  Role role = Role::Gpu;
  std::string what;     // "0000:3b:00.1, an audio device (10de:10f8) of driver snd_hda_intel"
  std::string verdict;  // Why it goes along, stays or is in the way.
  std::string remedy;   // For what is in the way.
  bool operator==(const Member&) const = default;
};

struct Group {
  int number = 0;
  std::vector<Member> members;  // By address.
  bool viable() const;
};

/// "0000:3b:00.0, a 3D controller (10de:1eb8) of driver nvidia".
std::string describe(const gpu::PciDevice& device);

/// True for two functions of one card: same domain, bus and slot.
bool sameSlot(const PciAddress& a, const PciAddress& b);

/// The groups of all of `wanted`, which go to one VM together; `also_gpus` as in gpu::isGpu. Refused:
/// kIommuOff with how to turn it on, kDeviceNotFound. A group that is not viable is an answer.
Result<std::vector<Group>> groupsOf(const Survey& survey, const std::vector<PciAddress>& wanted,
                                    const std::vector<gpu::PciId>& also_gpus);

}  // namespace berth::vfio
