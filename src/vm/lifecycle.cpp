#include "vm/lifecycle.h"

#include <array>
#include <string>

namespace berth::vm {
namespace {

constexpr std::array<std::string_view, 6> kPowerCodes{"PowerState/starting",     "PowerState/running",
                                                      "PowerState/stopping",     "PowerState/stopped",
                                                      "PowerState/deallocating", "PowerState/deallocated"};
constexpr std::array<std::string_view, 5> kProvisioningNames{"Creating", "Updating", "Deleting", "Succeeded",
                                                             "Failed"};
constexpr std::array<std::string_view, 3> kPolicyNames{"hold", "lend", "release"};
constexpr std::array<std::string_view, 10> kActionNames{"start",
                                                        "power off",
                                                        "restart",
                                                        "deallocate",
                                                        "delete",
                                                        "resize",
                                                        "change NICs of",
                                                        "change disks of",
                                                        "change the GPU policy of",
                                                        "install an extension on"};

template <typename Names, typename Enum>
bool find(const Names& names, std::string_view text, Enum& out) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] != text) continue;
    out = static_cast<Enum>(i);
    return true;
  }
  return false;
}

tl::unexpected<Error> forbidden(Action action, const VmStatus& status, std::string_view remedy) {
  return fail(Error{ErrorCode::Conflict,
                    "cannot " + std::string(name(action)) + " a VM that is " +
                        std::string(armCode(status.power)) + " and " +
                        std::string(armName(status.provisioning)) + "; " + std::string(remedy),
                    "OperationNotAllowed",
                    {}});
}

bool busy(ProvisioningState state) {
  return state == ProvisioningState::Creating || state == ProvisioningState::Updating ||
         state == ProvisioningState::Deleting;
}

/// B7, at deallocation.
GpuEffect givenUp(const VmStatus& status) {
  if (status.gpus == 0) return GpuEffect::None;
  switch (status.policy) {
    case GpuPolicy::Hold:
      return GpuEffect::Hold;
    case GpuPolicy::Lend:
      return GpuEffect::Lend;
    case GpuPolicy::Release:
      return GpuEffect::Release;
  }
  return GpuEffect::Hold;
}

Transition to(PowerState during, PowerState after, GpuEffect gpus = GpuEffect::None) {
  return {false, during, after, ProvisioningState::Updating, gpus};
}

Transition unchanged(const VmStatus& status) {
  return {true, status.power, status.power, status.provisioning, GpuEffect::None};
}

}  // namespace

Result<Transition> plan(const VmStatus& status, Action action) {
  using enum PowerState;
  if (action == Action::Delete) {
    Transition transition =
        to(status.power, Deallocated, status.gpus > 0 ? GpuEffect::Release : GpuEffect::None);
    transition.provisioning_during = ProvisioningState::Deleting;
    return transition;
  }
  if (busy(status.provisioning)) return forbidden(action, status, "wait until it is done");
  const bool running = status.power == Running;
  const bool deallocated = status.power == Deallocated;
  switch (action) {
    case Action::Start:
      if (running) return unchanged(status);
      // A7: a VM that was powered off has its GPUs still.
      return to(Starting, Running, deallocated && status.gpus > 0 ? GpuEffect::Acquire : GpuEffect::None);
    case Action::PowerOff:
      if (status.power == Stopped) return unchanged(status);
      if (deallocated) return forbidden(action, status, "it is off already");
      return to(Stopping, Stopped);
    case Action::Restart:
      if (!running) return forbidden(action, status, "start it");
      return to(Starting, Running);
    case Action::Deallocate:
      if (deallocated) return unchanged(status);
      return to(Deallocating, Deallocated, givenUp(status));
    case Action::Resize:
    case Action::ChangeNics:
      if (status.power != Stopped && !deallocated)
        return forbidden(action, status, "stop or deallocate it first");
      return to(status.power, status.power);
    case Action::InstallExtension:
      if (!running) return forbidden(action, status, "start it first");
      return to(status.power, status.power);
    case Action::ChangeDisks:
    case Action::ChangePolicy:
    case Action::Delete:
      break;
  }
  return to(status.power, status.power);
}

Resolution resolve(const VmStatus& recorded, DomainState domain, bool host_restarted) {
  using enum PowerState;
  const bool off = domain == DomainState::Off || domain == DomainState::Crashed;
  const bool up = !off && domain != DomainState::Absent;
  if (recorded.provisioning == ProvisioningState::Deleting || recorded.power == Deallocated ||
      recorded.power == Deallocating) {
    return up ? Resolution::Destroy : Resolution::Nothing;
  }
  if (domain == DomainState::Absent) return Resolution::Define;
  switch (recorded.power) {
    case Starting:
      return up ? Resolution::RecordRunning : Resolution::StartAgain;
    case Running:
      if (up) return Resolution::Nothing;
      return host_restarted ? Resolution::StartAgain : Resolution::RecordStopped;
    case Stopping:
      return up ? Resolution::Destroy : Resolution::RecordStopped;
    case Stopped:
      return up ? Resolution::RecordRunning : Resolution::Nothing;
    case Deallocating:
    case Deallocated:
      break;
  }
  return Resolution::Nothing;
}

std::string_view armCode(PowerState state) { return kPowerCodes.at(static_cast<std::size_t>(state)); }
std::string_view armName(ProvisioningState state) {
  return kProvisioningNames.at(static_cast<std::size_t>(state));
}
std::string_view name(GpuPolicy policy) { return kPolicyNames.at(static_cast<std::size_t>(policy)); }
std::string_view name(Action action) { return kActionNames.at(static_cast<std::size_t>(action)); }
bool fromArmCode(std::string_view code, PowerState& out) { return find(kPowerCodes, code, out); }
bool fromArmName(std::string_view name, ProvisioningState& out) {
  return find(kProvisioningNames, name, out);
}
bool fromName(std::string_view name, GpuPolicy& out) { return find(kPolicyNames, name, out); }

}  // namespace berth::vm
