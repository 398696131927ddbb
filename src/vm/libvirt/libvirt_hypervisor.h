// The Hypervisor over libvirt's C API: one connection, made anew when libvirtd was restarted.
//
// libvirt's calls know no deadline. A dead or frozen libvirtd is noticed by keepalive after
// kKeepAliveInterval times kKeepAliveCount seconds, and then every waiting call ends; a deadline that passes
// meanwhile is noticed when the call ends.
#pragma once

#include <memory>
#include <string>

#include "base/guarded.h"
#include "vm/hypervisor.h"
#include "vm/libvirt/event_loop.h"

namespace berth::vm::libvirt {

inline constexpr int kKeepAliveInterval = 5;
inline constexpr unsigned kKeepAliveCount = 2;

class LibvirtHypervisor final : public Hypervisor {
 public:
  /// Connects at the first call. `uri` is libvirt's ("qemu:///system"); `loop` outlives this.
  LibvirtHypervisor(std::string uri, EventLoop& loop);
  ~LibvirtHypervisor() override;

  Result<void> define(const VmSpec& spec, Deadline deadline) override;
  Result<void> start(const VmName& name, Deadline deadline) override;
  Result<void> shutdown(const VmName& name, Deadline deadline) override;
  Result<void> reboot(const VmName& name, Deadline deadline) override;
  Result<void> destroy(const VmName& name, Deadline deadline) override;
  Result<void> undefine(const VmName& name, Deadline deadline) override;
  Result<DomainState> state(const VmName& name, Deadline deadline) override;
  Result<DomainDescription> describe(const VmName& name, Deadline deadline) override;
  Result<std::vector<DomainInfo>> list(Deadline deadline) override;
  Result<void> attachDisk(const VmName& name, const DataDisk& disk, Deadline deadline) override;
  Result<void> detachDisk(const VmName& name, int lun, Deadline deadline) override;
  Result<std::vector<GuestAddress>> addresses(const VmName& name, AddressSource source,
                                              Deadline deadline) override;
  Result<std::string> agentCommand(const VmName& name, const std::string& command,
                                   Deadline deadline) override;
  Result<os::UniqueFd> console(const VmName& name, Deadline deadline) override;
  Result<void> ensureNetwork(const NatNetwork& network, Deadline deadline) override;
  Result<void> removeNetwork(const std::string& name, Deadline deadline) override;
  void onEvent(std::function<void(const HypervisorEvent&)> callback) override;

 private:
  struct Connection;
  struct Shared;

  /// The live connection, made when there is none. Unavailable: libvirtd does not answer.
  Result<std::shared_ptr<Connection>> connect(Deadline deadline);
  /// Runs fn(connection), once more on a new connection when the first broke.
  template <typename Fn>
  auto with(Deadline deadline, Fn fn) -> decltype(fn(*std::shared_ptr<Connection>()));
  /// Runs fn(virDomainPtr) on the VM's domain.
  template <typename Fn>
  auto withDomain(const VmName& name, Deadline deadline, Fn fn);

  std::string uri_;
  std::shared_ptr<Shared> shared_;  // libvirt's callbacks may come after this object's end.
};

}  // namespace berth::vm::libvirt
