#include "service/vm_steps.h"

#include <utility>

namespace berth::service {
namespace {

using vm::DomainState;
using vm::PowerState;

bool isUp(DomainState domain) {
  return domain == DomainState::Running || domain == DomainState::Paused ||
         domain == DomainState::ShuttingDown;
}

/// On the way off: the guest has its time, then it is ended.
VmStep turnOff(const VmRecord& vm, const VmWorld& world) {
  if (world.now < vm.deadline && world.domain == DomainState::Running) return ShutDownVm{};
  return DestroyVm{};
}

VmStep toDeallocated(const VmRecord& vm, const VmWorld& world) {
  if (isUp(world.domain)) return turnOff(vm, world);
  if (vm.power != PowerState::Deallocated || isBusy(vm) || world.gives_gpus) return GiveUpGpus{};
  return VmIdle{};
}

VmStep toStopped(const VmRecord& vm, const VmWorld& world) {
  // Somebody started it behind our back; it has its GPUs, so it may run.
  const bool settled_before = vm.power == PowerState::Stopped && !isBusy(vm);
  if (isUp(world.domain) && settled_before) return RecordPower{PowerState::Running};
  if (isUp(world.domain)) return turnOff(vm, world);
  if (vm.power != PowerState::Stopped || isBusy(vm)) return RecordPower{PowerState::Stopped};
  return VmIdle{};
}

VmStep waitForGpus(const VmRecord& vm, const VmWorld& world) {
  if (world.has_gpus) return ClaimGpus{};  // Ends the recall.
  if (world.now < vm.deadline) return ClaimGpus{};
  if (!vm.evicting && vm.asked.recall.at_deadline == AtDeadline::Stop) return EvictUsers{};
  return GiveUpStart{
      Error{ErrorCode::Refused,
            "VM " + vm.name + ": its lent GPUs are still in use, and the time to give them back is over",
            "GpuInUse",
            {}}};
}

VmStep toRunning(const VmRecord& vm, const VmWorld& world) {
  if (isUp(world.domain)) {
    if (vm.restarts_done < vm.restarts_wanted) return RebootVm{};
    const bool known = vm.power == PowerState::Running && !isBusy(vm) && vm.boot_id == world.boot_id;
    return known ? VmStep{VmIdle{}} : VmStep{RecordPower{PowerState::Running}};
  }
  if (vm.recalling) return waitForGpus(vm, world);
  // B8: it ran when the host went down. Otherwise a running guest that is off has powered itself off and
  // keeps its GPUs (A7); a restart that finds it off is a start.
  const bool restarting = vm.restarts_done < vm.restarts_wanted;
  const bool ended = vm.power == PowerState::Running && !isBusy(vm) && !restarting;
  if (ended && vm.boot_id == world.boot_id && world.domain != DomainState::Absent) {
    return RecordPower{PowerState::Stopped};
  }
  return StartVm{};
}

VmDesired desiredFor(PowerState power) {
  switch (power) {
    case PowerState::Stopped:
      return VmDesired::Stopped;
    case PowerState::Deallocated:
      return VmDesired::Deallocated;
    default:
      return VmDesired::Running;
  }
}

}  // namespace

bool waitsForGpus(const VmRecord& vm) { return vm.recalling && vm.desired == VmDesired::Running; }

VmStep nextStep(const VmRecord& vm, const VmWorld& world) {
  switch (vm.desired) {
    case VmDesired::Deleted:
      return isUp(world.domain) ? VmStep{DestroyVm{}} : VmStep{RemoveVm{}};
    case VmDesired::Deallocated:
      return toDeallocated(vm, world);
    case VmDesired::Stopped:
      return toStopped(vm, world);
    case VmDesired::Running:
      break;
  }
  return toRunning(vm, world);
}

VmRecord settled(VmRecord vm, PowerState power, const std::string& boot_id) {
  const bool failed = vm.provisioning == vm::ProvisioningState::Failed;
  vm.desired = desiredFor(power);
  vm.power = power;
  vm.fallback = power;
  // What failed stays visible until something succeeds: being back where it was is no success.
  if (!failed || power == PowerState::Running) {
    vm.provisioning = vm::ProvisioningState::Succeeded;
    vm.error.reset();
    vm.message.clear();
  }
  vm.attempts = 0;
  vm.deadline = {};
  vm.recalling = false;
  vm.evicting = false;
  if (power == PowerState::Running) {
    vm.has_run = true;
    vm.boot_id = boot_id;
    vm.asked.password.clear();
    vm.restarts_done = vm.restarts_wanted;
  } else {
    vm.addresses.clear();
  }
  return vm;
}

VmRecord startFailed(VmRecord vm, Error error) {
  const bool creating = !vm.has_run && vm.provisioning == vm::ProvisioningState::Creating;
  vm.message = error.message;
  vm.error = std::move(error);
  vm.provisioning = vm::ProvisioningState::Failed;
  vm.recalling = false;
  vm.evicting = false;
  vm.attempts = 0;
  vm.deadline = {};
  vm.restarts_done = vm.restarts_wanted;
  vm.desired = creating ? VmDesired::Deleted : desiredFor(vm.fallback);
  if (vm.desired == VmDesired::Running) vm.desired = VmDesired::Stopped;
  vm.power = vm.desired == VmDesired::Stopped ? PowerState::Stopping : PowerState::Deallocating;
  return vm;
}

}  // namespace berth::service
