#include "gpu/vfio/plan.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/text.h"

namespace berth::vfio {
namespace {

constexpr const char* kAwake = "on";
constexpr const char* kForbidden = "0";

Error notViable(const std::vector<Group>& groups) {
  Error error{ErrorCode::Refused, {}, kGroupNotViable, {}};
  std::vector<std::string> in_the_way;
  for (const Group& group : groups) {
    if (group.viable()) continue;
    for (const Member& member : group.members) {
      error.details.push_back({member.what, member.verdict, member.remedy});
      if (member.role == Role::InTheWay) in_the_way.push_back(member.what);
    }
  }
  error.message = "the GPU shares its IOMMU group with what cannot go to the VM: " + join(in_the_way, "; ");
  return error;
}

void add(std::vector<Step>& steps, Step step) {
  if (step.from != step.to) steps.push_back(std::move(step));
}

/// Awake, and kept from the power state that some cards do not come back from (seen as "Unable to change
/// power state from D3cold to D0" when a guest starts).
void addPower(std::vector<Step>& steps, const Function& function) {
  const PciAddress& address = function.device.address;
  if (!function.power_control.empty()) {
    add(steps, {Attribute::PowerControl, address, function.power_control, kAwake});
  }
  if (!function.d3cold_allowed.empty()) {
    add(steps, {Attribute::D3cold, address, function.d3cold_allowed, kForbidden});
  }
}

void addPersistence(std::vector<Step>& steps, const TakeRequest& request) {
  for (const PciAddress& gpu : request.gpus) {
    if (request.persistent.contains(gpu)) steps.push_back({Attribute::Persistence, gpu, "on", "off"});
  }
}

/// All functions are unbound before any is bound: the kernel wants a group without users of the host's. The
/// override is set while nothing is bound, so that undoing it last first can bind the old driver again.
void addBinding(std::vector<Step>& steps, const std::vector<const Function*>& moving) {
  for (const Function* function : moving) {
    const gpu::PciDevice& device = function->device;
    if (device.driver != kVfioDriver) add(steps, {Attribute::Driver, device.address, device.driver, {}});
  }
  for (const Function* function : moving) {
    add(steps, {Attribute::Override, function->device.address, function->driver_override, kVfioDriver});
  }
  for (const Function* function : moving) {
    if (function->device.driver == kVfioDriver) continue;
    add(steps, {Attribute::Driver, function->device.address, {}, kVfioDriver});
  }
}

std::vector<const Function*> membersOf(const Survey& survey, const std::vector<Group>& groups,
                                       bool only_moving) {
  std::vector<const Function*> members;
  for (const Group& group : groups) {
    for (const Member& member : group.members) {
      const bool moves = member.role == Role::Gpu || member.role == Role::Companion;
      if (moves || !only_moving) members.push_back(find(survey, member.address));
    }
  }
  return members;
}

}  // namespace

Result<TakePlan> planTake(const Survey& survey, const TakeRequest& request) {
  TakePlan plan;
  TRY(plan.groups, groupsOf(survey, request.gpus, request.also_gpus));
  if (!std::ranges::all_of(plan.groups, &Group::viable)) return fail(notViable(plan.groups));
  if (!survey.vfio_loaded) {
    const std::string message = "the kernel has no driver vfio-pci";
    return fail(
        Error{ErrorCode::Refused, message, kVfioMissing, {{"vfio-pci", message, "modprobe vfio-pci"}}});
  }
  addPersistence(plan.steps, request);
  for (const Function* function : membersOf(survey, plan.groups, false)) addPower(plan.steps, *function);
  const std::vector<const Function*> moving = membersOf(survey, plan.groups, true);
  addBinding(plan.steps, moving);
  for (const Function* function : moving) plan.moving.push_back(function->device.address);
  return plan;
}

}  // namespace berth::vfio
