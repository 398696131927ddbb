// What happens next to a virtual machine: a pure function of its record and of what libvirt shows.
//
// nextStep() compares the two and names one step; the keeper (vm_keeper.h) carries it out, records the
// outcome and asks again until nothing is left to do. Every step may be repeated, so a daemon that was killed
// anywhere goes on by asking again. `service` decided before whether something may be done (vm::plan); this
// decides how.
#pragma once

#include <chrono>
#include <string>
#include <variant>

#include "service/vm_record.h"

namespace berth::service {

/// What the outside world says about one VM now.
struct VmWorld {
  vm::DomainState domain = vm::DomainState::Absent;
  bool has_gpus = true;  // The ledger has granted as many as its size says.
  bool gives_gpus =
      false;            // It holds or lends something that its policy would not leave it when deallocated.
  std::string boot_id;  // The host's, now.
  std::chrono::system_clock::time_point now{};
};

struct ClaimGpus {};   // Called-back ones; tried again whenever a berth has ended, until the deadline.
struct EvictUsers {};  // The notice is over.
struct StartVm {};     // Disks, seed, network, GPUs, definition, and go. All of it may be there already.
struct RebootVm {};
struct ShutDownVm {};  // Asks the guest, until the deadline.
struct DestroyVm {};   // Ends it at once.
struct GiveUpGpus {};  // It is off: what its policy says (A7, B7).
struct RemoveVm {};    // Definition, files, berths, record.
/// The world is there already, or went somewhere by itself.
struct RecordPower {
  vm::PowerState power = vm::PowerState::Running;
};
/// A start gives up: back to where it came from.
struct GiveUpStart {
  Error error;
};
struct VmIdle {
  std::chrono::system_clock::time_point until = std::chrono::system_clock::time_point::max();
};

using VmStep = std::variant<ClaimGpus, EvictUsers, StartVm, RebootVm, ShutDownVm, DestroyVm, GiveUpGpus,
                            RemoveVm, RecordPower, GiveUpStart, VmIdle>;

VmStep nextStep(const VmRecord& vm, const VmWorld& world);

/// True when the world need not be asked: the VM waits for GPUs that are still in use.
bool waitsForGpus(const VmRecord& vm);

/// The record once it is `power` for good: nothing goes on any more. Pure.
VmRecord settled(VmRecord vm, vm::PowerState power, const std::string& boot_id);

/// The record of a VM whose start failed: it goes back to where it came from. One that never ran is to be
/// deleted.
VmRecord startFailed(VmRecord vm, Error error);

inline constexpr std::chrono::seconds kEvictionTime{
    120};  // For the containers to stop, grace periods included.

}  // namespace berth::service
