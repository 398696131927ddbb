// The states of a VM as the ARM family names them (design 6), what may be done in which, and what that does
// to the VM's GPUs (A7, B7). Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace berth::vm {

enum class PowerState : std::uint8_t { Starting, Running, Stopping, Stopped, Deallocating, Deallocated };
enum class ProvisioningState : std::uint8_t { Creating, Updating, Deleting, Succeeded, Failed };

/// What deallocation does with the GPUs (B7).
enum class GpuPolicy : std::uint8_t { Hold, Lend, Release };

enum class Action : std::uint8_t {
  Start,
  PowerOff,
  Restart,
  Deallocate,
  Delete,
  Resize,
  ChangeNics,
  ChangeDisks,  // Attach, detach, grow a data disk.
  ChangePolicy,
  InstallExtension,
};

/// What happens to the VM's GPUs while an action is done.
enum class GpuEffect : std::uint8_t {
  None,     // Nothing changes: they stay where they are.
  Acquire,  // Needed now: from the hold, called back from the borrower, or free ones.
  Hold,     // Given up by the guest, reserved for the VM.
  Lend,     // Given up by the guest, reserved, others may use them until the VM starts.
  Release,  // Given up.
};

struct VmStatus {
  PowerState power = PowerState::Deallocated;
  ProvisioningState provisioning = ProvisioningState::Succeeded;
  GpuPolicy policy = GpuPolicy::Hold;
  int gpus = 0;
};

/// How an action goes. `during` is recorded before anything is done, `after` when all of it is.
struct Transition {
  bool nothing_to_do = false;  // The VM is there already: success.
  PowerState power_during = PowerState::Deallocated;
  PowerState power_after = PowerState::Deallocated;
  ProvisioningState provisioning_during = ProvisioningState::Updating;
  GpuEffect gpus = GpuEffect::None;
  bool operator==(const Transition&) const = default;
};

/// Conflict (reason OperationNotAllowed): the state forbids it; the message says what would allow it. An
/// action on a VM that is being created, updated or deleted waits for that to end: Conflict as well, except
/// Delete.
Result<Transition> plan(const VmStatus& status, Action action);

/// What libvirt says of the domain.
enum class DomainState : std::uint8_t { Absent, Off, Running, Paused, ShuttingDown, Crashed };

enum class Resolution : std::uint8_t {
  Nothing,     // Record and world agree.
  StartAgain,  // It ran before the host went down (B8).
  RecordRunning,
  RecordStopped,  // The guest powered itself off: it keeps its GPUs (A7).
  Destroy,        // It must not run: deallocated or being deleted.
  Define,         // libvirt lost it: define it again, then as Off.
};

/// At the daemon's start and at every event: the record against the domain. `host_restarted`: the boot id
/// differs from the one the record was written under.
Resolution resolve(const VmStatus& recorded, DomainState domain, bool host_restarted);

/// "PowerState/running", as instanceView shows it.
std::string_view armCode(PowerState state);
/// "Succeeded"
std::string_view armName(ProvisioningState state);
std::string_view name(GpuPolicy policy);  // "hold", "lend", "release"
std::string_view name(Action action);     // "start", "power off", ...
/// False leaves `out` alone.
bool fromArmCode(std::string_view code, PowerState& out);
bool fromArmName(std::string_view name, ProvisioningState& out);
bool fromName(std::string_view name, GpuPolicy& out);

}  // namespace berth::vm
