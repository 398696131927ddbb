#include "service/vm_record.h"

#include <array>
#include <tuple>

namespace berth::service {
namespace {

constexpr std::array<std::string_view, 4> kDesired{"running", "stopped", "deallocated", "deleted"};
constexpr std::array<std::string_view, 2> kAtDeadline{"stop", "fail"};
constexpr std::array<std::string_view, 3> kImageStates{"importing", "ready", "failed"};

auto tied(const vm::StaticAddress& a) { return std::tie(a.address, a.prefix, a.gateway, a.dns); }

}  // namespace

std::string_view name(VmDesired desired) { return kDesired.at(static_cast<std::size_t>(desired)); }
std::string_view name(AtDeadline choice) { return kAtDeadline.at(static_cast<std::size_t>(choice)); }
std::string_view name(ImageRecord::State state) { return kImageStates.at(static_cast<std::size_t>(state)); }

bool fromName(std::string_view name, AtDeadline& out) {
  for (std::size_t i = 0; i < kAtDeadline.size(); ++i) {
    if (kAtDeadline.at(i) != name) continue;
    out = static_cast<AtDeadline>(i);
    return true;
  }
  return false;
}

bool operator==(const VmNic& a, const VmNic& b) {
  if (std::tie(a.network, a.bridge, a.mac) != std::tie(b.network, b.bridge, b.mac)) return false;
  if (a.fixed.has_value() != b.fixed.has_value()) return false;
  return !a.fixed || tied(*a.fixed) == tied(*b.fixed);
}

vm::VmStatus statusOf(const VmRecord& vm) {
  return {vm.power, vm.provisioning, vm.policy, vm.asked.size.gpus};
}

bool isBusy(const VmRecord& vm) {
  using enum vm::ProvisioningState;
  return vm.provisioning == Creating || vm.provisioning == Updating || vm.provisioning == Deleting;
}

std::string osDiskName(const std::string& vm) { return vm + "-os"; }
std::string dataDiskName(const std::string& vm, int lun) { return vm + "-data-" + std::to_string(lun); }

}  // namespace berth::service
