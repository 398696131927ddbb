// A hypervisor with no hypervisor: state in a map, effects recorded, failures on request.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "vm/hypervisor.h"

namespace berth::vm {

/// One thread. A call named in `failures` ("start", "attachDisk") fails once with that error, before it does
/// anything. An agent command without an answer set up is AgentUnavailable.
class FakeHypervisor final : public Hypervisor {
 public:
  struct Domain {
    VmSpec spec;
    DomainState state = DomainState::Off;
    bool ignores_shutdown = false;
    std::vector<GuestAddress> addresses;
    std::function<Result<std::string>(const std::string&)> agent;
  };

  Result<void> define(const VmSpec& spec, Deadline /*deadline*/) override {
    TRY_VOID(called("define", spec.name));
    if (const auto xml = domainXml(spec); !xml) return fail(xml.error());
    domains[spec.name].spec = spec;
    return {};
  }
  Result<void> start(const VmName& name, Deadline /*deadline*/) override {
    TRY_VOID(called("start", name));
    TRY(Domain * domain, find(name));
    domain->state = DomainState::Running;
    return {};
  }
  Result<void> shutdown(const VmName& name, Deadline /*deadline*/) override {
    TRY_VOID(called("shutdown", name));
    TRY(Domain * domain, find(name));
    if (domain->ignores_shutdown)
      return fail(ErrorCode::Timeout, "VM " + name.value + " did not power off in time");
    domain->state = DomainState::Off;
    return {};
  }
  Result<void> reboot(const VmName& name, Deadline /*deadline*/) override {
    TRY_VOID(called("reboot", name));
    TRY(Domain * domain, find(name));
    if (domain->state == DomainState::Running) return {};
    return fail(ErrorCode::Conflict, "VM " + name.value + " does not run");
  }
  Result<void> destroy(const VmName& name, Deadline /*deadline*/) override {
    TRY_VOID(called("destroy", name));
    if (const auto found = domains.find(name); found != domains.end()) found->second.state = DomainState::Off;
    return {};
  }
  Result<void> undefine(const VmName& name, Deadline /*deadline*/) override {
    TRY_VOID(called("undefine", name));
    const auto found = domains.find(name);
    if (found == domains.end()) return {};
    if (found->second.state == DomainState::Running) {
      return fail(ErrorCode::Conflict, "VM " + name.value + " runs");
    }
    domains.erase(found);
    return {};
  }
  Result<DomainState> state(const VmName& name, Deadline /*deadline*/) override {
    TRY_VOID(called("state", name));
    const auto found = domains.find(name);
    return found == domains.end() ? DomainState::Absent : found->second.state;
  }
  Result<DomainDescription> describe(const VmName& name, Deadline /*deadline*/) override {
    TRY_VOID(called("describe", name));
    TRY(Domain * domain, find(name));
    TRY(const auto xml, domainXml(domain->spec));
    return readDomain(xml);
  }
  Result<std::vector<DomainInfo>> list(Deadline /*deadline*/) override {
    TRY_VOID(called("list", {}));
    std::vector<DomainInfo> result;
    for (const auto& [name, domain] : domains) result.push_back({name, domain.spec.id, domain.state});
    return result;
  }
  Result<void> attachDisk(const VmName& name, const DataDisk& disk, Deadline /*deadline*/) override {
    TRY_VOID(called("attachDisk", name));
    TRY(Domain * domain, find(name));
    for (const DataDisk& other : domain->spec.data_disks) {
      if (other == disk) return {};
      if (other.lun == disk.lun)
        return fail(ErrorCode::Conflict, "LUN " + std::to_string(disk.lun) + " is taken");
    }
    domain->spec.data_disks.push_back(disk);
    return {};
  }
  Result<void> detachDisk(const VmName& name, int lun, Deadline /*deadline*/) override {
    TRY_VOID(called("detachDisk", name));
    TRY(Domain * domain, find(name));
    std::erase_if(domain->spec.data_disks, [lun](const DataDisk& disk) { return disk.lun == lun; });
    return {};
  }
  Result<std::vector<GuestAddress>> addresses(const VmName& name, AddressSource /*source*/,
                                              Deadline /*deadline*/) override {
    TRY_VOID(called("addresses", name));
    TRY(Domain * domain, find(name));
    return domain->addresses;
  }
  Result<std::string> agentCommand(const VmName& name, const std::string& command,
                                   Deadline /*deadline*/) override {
    TRY_VOID(called("agentCommand", name));
    TRY(Domain * domain, find(name));
    // A copy: what the agent does may end the domain it belongs to.
    if (const auto agent = domain->agent) return agent(command);
    return fail(Error{ErrorCode::Unavailable, "no agent in VM " + name.value, "AgentUnavailable", {}});
  }
  Result<os::UniqueFd> console(const VmName& name, Deadline /*deadline*/) override {
    TRY_VOID(called("console", name));
    return fail(ErrorCode::Conflict, "the fake has no console");
  }
  Result<void> ensureNetwork(const NatNetwork& network, Deadline /*deadline*/) override {
    TRY_VOID(called("ensureNetwork", VmName(network.name)));
    if (const auto xml = networkXml(network); !xml) return fail(xml.error());
    networks.insert(network.name);
    return {};
  }
  Result<void> removeNetwork(const std::string& name, Deadline /*deadline*/) override {
    TRY_VOID(called("removeNetwork", VmName(name)));
    networks.erase(name);
    return {};
  }
  void onEvent(std::function<void(const HypervisorEvent&)> callback) override { event = std::move(callback); }

  std::map<VmName, Domain> domains;
  std::set<std::string> networks;
  std::map<std::string, Error> failures;
  std::vector<std::string> calls;  // "start vm1"
  std::function<void(const HypervisorEvent&)> event;

 private:
  Result<void> called(const std::string& call, const VmName& name) {
    calls.push_back(name.value.empty() ? call : call + " " + name.value);
    const auto failure = failures.extract(call);
    if (failure.empty()) return {};
    return fail(failure.mapped());
  }
  Result<Domain*> find(const VmName& name) {
    const auto found = domains.find(name);
    if (found == domains.end()) return fail(ErrorCode::NotFound, "there is no VM " + name.value);
    return &found->second;
  }
};

}  // namespace berth::vm
