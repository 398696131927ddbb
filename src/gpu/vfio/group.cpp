#include "gpu/vfio/group.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <string_view>
#include <utility>

#include "gpu/pci.h"

namespace berth::vfio {
namespace {

constexpr std::uint32_t kBridgeClass = 0x06;

struct ClassName {
  std::uint32_t code;  // Class and subclass.
  std::string_view name;
};

constexpr std::array<ClassName, 12> kClassNames{{
    {0x0300, "a VGA controller"},
    {0x0302, "a 3D controller"},
    {0x0380, "a display controller"},
    {0x0403, "an audio device"},
    {0x0401, "an audio device"},
    {0x0c03, "a USB controller"},
    {0x0c80, "a serial bus controller"},
    {0x0600, "a host bridge"},
    {0x0601, "an ISA bridge"},
    {0x0604, "a PCI bridge"},
    {0x0106, "a SATA controller"},
    {0x0108, "an NVMe controller"},
}};

constexpr std::array<ClassName, 4> kClassFamilies{{
    {0x01, "a storage controller"},
    {0x02, "a network controller"},
    {0x06, "a bridge"},
    {0x0b, "a processor"},
}};

std::string hex(std::uint32_t value, const char* format) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string className(std::uint32_t class_code) {
  const std::uint32_t subclass = class_code >> 8U;
  for (const ClassName& known : kClassNames) {
    if (known.code == subclass) return std::string(known.name);
  }
  for (const ClassName& known : kClassFamilies) {
    if (known.code == subclass >> 8U) return std::string(known.name);
  }
  return "a device of class " + hex(subclass, "%04x");
}

bool isBridge(const gpu::PciDevice& device) { return device.class_code >> 16U == kBridgeClass; }

/// Drivers that hold a function without using it for DMA of the host: the kernel calls a group with them
/// viable.
bool isHarmless(const std::string& driver) {
  return driver.empty() || driver == "pcieport" || driver == "pci-stub" || driver == kVfioDriver;
}

struct Request {
  const std::vector<PciAddress>& wanted;
  const std::vector<gpu::PciId>& also_gpus;
};

bool isWanted(const Request& request, const PciAddress& address) {
  return std::ranges::find(request.wanted, address) != request.wanted.end();
}

bool isCompanion(const Request& request, const PciAddress& address) {
  return std::ranges::any_of(request.wanted, [&](const PciAddress& gpu) { return sameSlot(gpu, address); });
}

Member inTheWay(Member member, std::string verdict, std::string remedy) {
  member.role = Role::InTheWay;
  member.verdict = std::move(verdict);
  member.remedy = std::move(remedy);
  return member;
}

Member judge(const gpu::PciDevice& device, const Request& request) {
  Member member{device.address, Role::Gpu, describe(device), "asked for", {}};
  if (isWanted(request, device.address)) return member;
  if (isBridge(device) && isHarmless(device.driver)) {
    member.role = Role::Bridge;
    member.verdict = "a bridge, stays with the host";
    return member;
  }
  if (!isBridge(device) && isCompanion(request, device.address)) {
    member.role = Role::Companion;
    member.verdict = "another function of the same card, goes along";
    return member;
  }
  if (gpu::isGpu(device, request.also_gpus)) {
    return inTheWay(std::move(member), "another GPU that the hardware cannot keep apart from this one",
                    "give both GPUs to the same VM, or move one of them to another slot");
  }
  if (!isHarmless(device.driver)) {
    return inTheWay(std::move(member), "the host uses it, and the hardware cannot keep it apart from the GPU",
                    "move the card to another slot, or unbind the device from " + device.driver +
                        " if the host can do without it");
  }
  member.role = Role::Idle;
  member.verdict = "no driver of the host uses it, stays as it is";
  return member;
}

std::string howToTurnOn(const Survey& survey) {
  const bool asked = survey.kernel_command_line.find("iommu=on") != std::string::npos;
  if (survey.cpu_vendor == "AuthenticAMD") {
    return "enable IOMMU (AMD-Vi) in the firmware's setup; the kernel then uses it by itself";
  }
  if (asked) return "the kernel was told to use it and found none: enable VT-d in the firmware's setup";
  return "enable VT-d in the firmware's setup, add intel_iommu=on to GRUB_CMDLINE_LINUX in "
         "/etc/default/grub, run "
         "update-grub and restart";
}

Error iommuOff(const Survey& survey, const std::string& what) {
  const std::string message = survey.iommu_on ? "no IOMMU covers " + what
                                              : "the IOMMU is off, and without it no device can go to a VM";
  const std::string remedy =
      survey.iommu_on ? "move the card to a slot that an IOMMU covers" : howToTurnOn(survey);
  return {ErrorCode::Refused, message + "; " + remedy, kIommuOff, {{what, message, remedy}}};
}

Group examine(const Survey& survey, int number, const Request& request) {
  Group group{number, {}};
  for (const Function& function : survey.functions) {
    if (function.device.iommu_group == number) group.members.push_back(judge(function.device, request));
  }
  return group;
}

}  // namespace

bool Group::viable() const {
  return std::ranges::none_of(members, [](const Member& member) { return member.role == Role::InTheWay; });
}

std::string describe(const gpu::PciDevice& device) {
  return device.address.value + ", " + className(device.class_code) + " (" + hex(device.id.vendor, "%04x") +
         ":" + hex(device.id.device, "%04x") + ") of " +
         (device.driver.empty() ? std::string("no driver") : "driver " + device.driver);
}

bool sameSlot(const PciAddress& a, const PciAddress& b) {
  const auto slot = [](const PciAddress& address) {
    return std::string_view(address.value).substr(0, address.value.find('.'));
  };
  return slot(a) == slot(b);
}

Result<std::vector<Group>> groupsOf(const Survey& survey, const std::vector<PciAddress>& wanted,
                                    const std::vector<gpu::PciId>& also_gpus) {
  std::set<int> numbers;
  for (const PciAddress& address : wanted) {
    const Function* const function = find(survey, address);
    if (function == nullptr) {
      return fail(Error{ErrorCode::Refused,
                        address.value + " is not on the PCI bus",
                        kDeviceNotFound,
                        {{address.value, "is not on the PCI bus", "berth gpu list"}}});
    }
    if (!function->device.iommu_group) return fail(iommuOff(survey, address.value));
    numbers.insert(*function->device.iommu_group);
  }
  std::vector<Group> groups;
  for (const int number : numbers) groups.push_back(examine(survey, number, {wanted, also_gpus}));
  return groups;
}

}  // namespace berth::vfio
