// The hypervisor as Berth uses it: libvirt in truth (vm/libvirt), a map in tests. Only domains and networks
// that carry Berth's mark are ever touched.
//
// Everything may be repeated: what is so already is a success. A domain never starts by itself; Berth starts
// VMs.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "os/unique_fd.h"
#include "vm/domain_xml.h"
#include "vm/lifecycle.h"
#include "vm/vm_spec.h"

namespace berth::vm {

using Deadline = std::chrono::steady_clock::time_point;

struct DomainInfo {
  VmName name;
  std::string berth_id;
  DomainState state = DomainState::Absent;
};

struct GuestAddress {
  std::string mac;
  std::string address;  // IPv4 or IPv6 without prefix.
  bool operator==(const GuestAddress&) const = default;
};

enum class AddressSource : std::uint8_t { Lease, Agent };

/// What happened to a domain, or that events may have been missed.
struct HypervisorEvent {
  enum class Kind : std::uint8_t {
    StateChanged,
    Reconnected,  // Look at everything again.
  };
  Kind kind = Kind::StateChanged;
  VmName name;
};

/// Blocking; worker threads only. Safe from several threads. Every function: Unavailable, libvirtd does not
/// answer, also after one reconnect; Timeout, the deadline came first and the outcome may be unknown;
/// NotFound, no such VM here.
class Hypervisor {
 public:
  virtual ~Hypervisor() = default;

  /// Makes or replaces the definition; a running domain takes it up at its next start.
  virtual Result<void> define(const VmSpec& spec, Deadline deadline) = 0;
  virtual Result<void> start(const VmName& name, Deadline deadline) = 0;
  /// Asks the guest to power off, through its agent, else by ACPI, and waits. Timeout: it has not; it still
  /// runs.
  virtual Result<void> shutdown(const VmName& name, Deadline deadline) = 0;
  virtual Result<void> reboot(const VmName& name, Deadline deadline) = 0;
  /// Ends the domain at once. Absent counts as ended.
  virtual Result<void> destroy(const VmName& name, Deadline deadline) = 0;
  /// Forgets the definition and UEFI variables; the domain must be off. Absent counts as forgotten. Disks
  /// stay.
  virtual Result<void> undefine(const VmName& name, Deadline deadline) = 0;
  /// Absent is an answer, not an error.
  virtual Result<DomainState> state(const VmName& name, Deadline deadline) = 0;
  virtual Result<DomainDescription> describe(const VmName& name, Deadline deadline) = 0;
  virtual Result<std::vector<DomainInfo>> list(Deadline deadline) = 0;

  /// Into the definition, and into the running guest. Conflict: another file has the LUN.
  virtual Result<void> attachDisk(const VmName& name, const DataDisk& disk, Deadline deadline) = 0;
  /// Succeeds when it was not attached.
  virtual Result<void> detachDisk(const VmName& name, int lun, Deadline deadline) = 0;

  virtual Result<std::vector<GuestAddress>> addresses(const VmName& name, AddressSource source,
                                                      Deadline deadline) = 0;
  /// One command of the QEMU guest agent (https://www.qemu.org/docs/master/interop/qemu-ga-ref.html), JSON in
  /// and out. Unavailable with reason AgentUnavailable: no agent answers in the guest.
  virtual Result<std::string> agentCommand(const VmName& name, const std::string& command,
                                           Deadline deadline) = 0;

  /// A stream socket on the guest's serial port. Conflict: the VM does not run.
  /// QEMU serves one reader at a time; a second one is connected and sees nothing until the first leaves.
  virtual Result<os::UniqueFd> console(const VmName& name, Deadline deadline) = 0;

  /// Defines and starts it. A network of that name that is there already stays as it is.
  virtual Result<void> ensureNetwork(const NatNetwork& network, Deadline deadline) = 0;
  virtual Result<void> removeNetwork(const std::string& name, Deadline deadline) = 0;

  /// `callback` runs on the adapter's own thread and only posts elsewhere. One callback; set before use.
  virtual void onEvent(std::function<void(const HypervisorEvent&)> callback) = 0;
};

}  // namespace berth::vm
