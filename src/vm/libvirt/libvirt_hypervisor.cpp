#include "vm/libvirt/libvirt_hypervisor.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "vm/libvirt/handles.h"

namespace berth::vm::libvirt {
namespace {

constexpr std::string_view kPrefix = "berth-";
constexpr std::chrono::milliseconds kPoll{50};
constexpr std::chrono::seconds kAgentShutdownAnswer{5};

struct Freed {
  void operator()(char* text) const { std::free(text); }
};
using Text = std::unique_ptr<char, Freed>;

Result<void> beforeDeadline(Deadline deadline) {
  if (std::chrono::steady_clock::now() < deadline) return {};
  return fail(ErrorCode::Timeout, "the deadline passed before libvirt was asked");
}

DomainState stateFrom(int state) {
  switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
      return DomainState::Running;
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED:
      return DomainState::Paused;
    case VIR_DOMAIN_SHUTDOWN:
      return DomainState::ShuttingDown;
    case VIR_DOMAIN_CRASHED:
      return DomainState::Crashed;
    default:
      return DomainState::Off;
  }
}

Result<DomainState> stateOf(virDomainPtr domain) {
  int state = 0;
  if (virDomainGetState(domain, &state, nullptr, 0) < 0)
    return fail(lastError("state of", virDomainGetName(domain)));
  return stateFrom(state);
}

Result<DomainDescription> describeDomain(virDomainPtr domain, unsigned flags) {
  const Text xml(virDomainGetXMLDesc(domain, flags));
  if (!xml) return fail(lastError("XML of", virDomainGetName(domain)));
  return readDomain(xml.get());
}

bool isOff(DomainState state) { return state == DomainState::Off || state == DomainState::Crashed; }

/// Waits until the domain is off. Timeout: it is not.
Result<void> waitOff(virDomainPtr domain, Deadline deadline) {
  while (true) {
    TRY(const auto state, stateOf(domain));
    if (isOff(state)) return {};
    if (std::chrono::steady_clock::now() >= deadline) {
      return fail(ErrorCode::Timeout, std::string(virDomainGetName(domain)) + " did not power off in time");
    }
    std::this_thread::sleep_for(kPoll);
  }
}

unsigned changeFlags(DomainState state) {
  return isOff(state) ? VIR_DOMAIN_AFFECT_CONFIG : VIR_DOMAIN_AFFECT_CONFIG | VIR_DOMAIN_AFFECT_LIVE;
}

const DataDisk* findLun(const DomainDescription& description, int lun) {
  const auto found = std::find_if(description.data_disks.begin(), description.data_disks.end(),
                                  [lun](const DataDisk& disk) { return disk.lun == lun; });
  return found == description.data_disks.end() ? nullptr : &*found;
}

/// Asks once, through the agent when it answers soon, else by the power button.
Result<void> askToPowerOff(virDomainPtr domain) {
  virDomainAgentSetResponseTimeout(domain, static_cast<int>(kAgentShutdownAnswer.count()), 0);
  if (virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT) == 0) return {};
  if (virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN) == 0) return {};
  return fail(lastError("shut down", virDomainGetName(domain)));
}

std::vector<GuestAddress> readAddresses(virDomainInterfacePtr* interfaces, int count) {
  std::vector<GuestAddress> result;
  for (int i = 0; i < count; ++i) {
    const virDomainInterfacePtr nic = interfaces[i];
    for (unsigned j = 0; j < nic->naddrs; ++j) {
      result.push_back({nic->hwaddr == nullptr ? "" : nic->hwaddr, nic->addrs[j].addr});
    }
    virDomainInterfaceFree(nic);
  }
  std::free(interfaces);
  std::erase_if(result, [](const GuestAddress& address) {
    return address.address.starts_with("127.") || address.address == "::1";
  });
  return result;
}

}  // namespace

/// What callbacks reach: kept alive by libvirt's reference to it.
struct LibvirtHypervisor::Shared {
  Guarded<std::function<void(const HypervisorEvent&)>> callback;
  std::mutex connecting;  // Held while a connection is made: two callers make one.
  Guarded<std::shared_ptr<Connection>> connection;

  void announce(const HypervisorEvent& event) {
    const auto copy = callback.with([](auto& held) { return held; });
    if (copy) copy(event);
  }

  static int onLifecycle(virConnectPtr /*connection*/, virDomainPtr domain, int /*event*/, int /*detail*/,
                         void* data) {
    const std::string_view name = virDomainGetName(domain);
    if (!name.starts_with(kPrefix)) return 0;
    (*static_cast<std::shared_ptr<Shared>*>(data))
        ->announce({HypervisorEvent::Kind::StateChanged, VmName(std::string(name.substr(kPrefix.size())))});
    return 0;
  }
  static void release(void* data) { delete static_cast<std::shared_ptr<Shared>*>(data); }
};

struct LibvirtHypervisor::Connection {
  explicit Connection(virConnectPtr opened) : handle(opened) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    if (lifecycle >= 0) virConnectDomainEventDeregisterAny(handle, lifecycle);
    virConnectClose(handle);
  }

  Result<DomainHandle> domain(const VmName& name) const {
    DomainHandle found(virDomainLookupByName(handle, domainName(name).c_str()));
    if (!found) return fail(lastError("find VM", name.value));
    return found;
  }

  virConnectPtr handle;
  int lifecycle = -1;
};

LibvirtHypervisor::LibvirtHypervisor(std::string uri, EventLoop& /*loop*/)
    : uri_(std::move(uri)), shared_(std::make_shared<Shared>()) {}

LibvirtHypervisor::~LibvirtHypervisor() {
  shared_->callback.with([](auto& held) { held = nullptr; });
}

void LibvirtHypervisor::onEvent(std::function<void(const HypervisorEvent&)> callback) {
  shared_->callback.with([&callback](auto& held) { held = std::move(callback); });
}

Result<std::shared_ptr<LibvirtHypervisor::Connection>> LibvirtHypervisor::connect(Deadline deadline) {
  TRY_VOID(beforeDeadline(deadline));
  const std::scoped_lock lock(shared_->connecting);
  auto current = shared_->connection.with([](auto& held) { return held; });
  if (current && virConnectIsAlive(current->handle) == 1) return current;
  virConnectPtr handle = virConnectOpen(uri_.c_str());
  if (handle == nullptr) {
    Error error = lastError("connect to libvirt", uri_);
    error.code = ErrorCode::Unavailable;
    return fail(std::move(error));
  }
  const bool again = current != nullptr;
  auto made = std::make_shared<Connection>(handle);
  virConnectSetKeepAlive(handle, kKeepAliveInterval, kKeepAliveCount);
  auto data = std::make_unique<std::shared_ptr<Shared>>(shared_);
  // NOLINTNEXTLINE(clang-diagnostic-cast-function-type-mismatch): libvirt's own way to pass it.
  const auto on_lifecycle = VIR_DOMAIN_EVENT_CALLBACK(&Shared::onLifecycle);
  made->lifecycle = virConnectDomainEventRegisterAny(handle, nullptr, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                                     on_lifecycle, data.get(), &Shared::release);
  if (made->lifecycle < 0) return fail(lastError("listen to events of", uri_));
  // NOLINTNEXTLINE(bugprone-unused-return-value): libvirt frees it, through Shared::release.
  static_cast<void>(data.release());
  shared_->connection.with([&made](auto& held) { held = made; });
  if (again) shared_->announce({HypervisorEvent::Kind::Reconnected, {}});
  return made;
}

template <typename Fn>
auto LibvirtHypervisor::with(Deadline deadline, Fn fn) -> decltype(fn(*std::shared_ptr<Connection>())) {
  TRY(const auto connection, connect(deadline));
  auto result = fn(*connection);
  if (result || result.error().reason != "ConnectionLost") return result;
  TRY(const auto next, connect(deadline));
  return fn(*next);
}

template <typename Fn>
auto LibvirtHypervisor::withDomain(const VmName& name, Deadline deadline, Fn fn) {
  using Answer = decltype(fn(virDomainPtr()));
  return with(deadline, [&name, &fn](Connection& connection) -> Answer {
    TRY(const auto domain, connection.domain(name));
    return fn(domain.get());
  });
}

Result<void> LibvirtHypervisor::define(const VmSpec& spec, Deadline deadline) {
  TRY(const auto xml, domainXml(spec));
  return with(deadline, [&](Connection& connection) -> Result<void> {
    const DomainHandle domain(virDomainDefineXML(connection.handle, xml.c_str()));
    if (!domain) return fail(lastError("define VM", spec.name.value));
    if (virDomainSetAutostart(domain.get(), 0) < 0)
      return fail(lastError("no autostart of", spec.name.value));
    return {};
  });
}

Result<void> LibvirtHypervisor::start(const VmName& name, Deadline deadline) {
  return withDomain(name, deadline, [&name](virDomainPtr domain) -> Result<void> {
    TRY(const auto state, stateOf(domain));
    if (!isOff(state)) return {};
    if (virDomainCreate(domain) < 0) return fail(lastError("start VM", name.value));
    return {};
  });
}

Result<void> LibvirtHypervisor::shutdown(const VmName& name, Deadline deadline) {
  return withDomain(name, deadline, [deadline](virDomainPtr domain) -> Result<void> {
    TRY(const auto state, stateOf(domain));
    if (isOff(state)) return {};
    TRY_VOID(askToPowerOff(domain));
    return waitOff(domain, deadline);
  });
}

Result<void> LibvirtHypervisor::reboot(const VmName& name, Deadline deadline) {
  return withDomain(name, deadline, [&name](virDomainPtr domain) -> Result<void> {
    if (virDomainReboot(domain, 0) < 0) return fail(lastError("restart VM", name.value));
    return {};
  });
}

Result<void> LibvirtHypervisor::destroy(const VmName& name, Deadline deadline) {
  auto result = withDomain(name, deadline, [&name](virDomainPtr domain) -> Result<void> {
    TRY(const auto state, stateOf(domain));
    if (isOff(state) || virDomainDestroy(domain) == 0) return {};
    return fail(lastError("power off VM", name.value));
  });
  if (!result && result.error().code == ErrorCode::NotFound) return {};
  return result;
}

Result<void> LibvirtHypervisor::undefine(const VmName& name, Deadline deadline) {
  auto result = withDomain(name, deadline, [&name](virDomainPtr domain) -> Result<void> {
    TRY(const auto state, stateOf(domain));
    if (!isOff(state)) return fail(ErrorCode::Conflict, "VM " + name.value + " runs");
    if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_NVRAM) == 0) return {};
    return fail(lastError("undefine VM", name.value));
  });
  if (!result && result.error().code == ErrorCode::NotFound) return {};
  return result;
}

Result<DomainState> LibvirtHypervisor::state(const VmName& name, Deadline deadline) {
  auto result = withDomain(name, deadline, [](virDomainPtr domain) { return stateOf(domain); });
  if (!result && result.error().code == ErrorCode::NotFound) return DomainState::Absent;
  return result;
}

Result<DomainDescription> LibvirtHypervisor::describe(const VmName& name, Deadline deadline) {
  return withDomain(name, deadline, [](virDomainPtr domain) { return describeDomain(domain, 0); });
}

Result<std::vector<DomainInfo>> LibvirtHypervisor::list(Deadline deadline) {
  return with(deadline, [](Connection& connection) -> Result<std::vector<DomainInfo>> {
    virDomainPtr* raw = nullptr;
    const int count = virConnectListAllDomains(connection.handle, &raw, 0);
    if (count < 0) return fail(lastError("list", "domains"));
    std::vector<DomainHandle> domains;
    domains.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) domains.emplace_back(raw[i]);
    std::free(raw);
    std::vector<DomainInfo> result;
    for (const DomainHandle& domain : domains) {
      const auto description = describeDomain(domain.get(), 0);
      const auto state = stateOf(domain.get());
      // One that went away meanwhile is not in the list.
      if (!description || !state || description->berth_id.empty()) continue;
      result.push_back({VmName(description->vm_name), description->berth_id, *state});
    }
    return result;
  });
}

Result<void> LibvirtHypervisor::attachDisk(const VmName& name, const DataDisk& disk, Deadline deadline) {
  TRY(const auto xml, diskXml(disk));
  return withDomain(name, deadline, [&](virDomainPtr domain) -> Result<void> {
    TRY(const auto description, describeDomain(domain, 0));
    if (const DataDisk* there = findLun(description, disk.lun)) {
      if (*there == disk) return {};
      return fail(ErrorCode::Conflict, "LUN " + std::to_string(disk.lun) + " of VM " + name.value +
                                           " is taken by " + there->file.string());
    }
    TRY(const auto state, stateOf(domain));
    if (virDomainAttachDeviceFlags(domain, xml.c_str(), changeFlags(state)) == 0) return {};
    return fail(lastError("attach a disk to VM", name.value));
  });
}

Result<void> LibvirtHypervisor::detachDisk(const VmName& name, int lun, Deadline deadline) {
  return withDomain(name, deadline, [&](virDomainPtr domain) -> Result<void> {
    TRY(const auto state, stateOf(domain));
    TRY(const auto before, describeDomain(domain, 0));
    const DataDisk* disk = findLun(before, lun);
    if (disk == nullptr) return {};
    TRY(const auto xml, diskXml(*disk));
    if (virDomainDetachDeviceFlags(domain, xml.c_str(), changeFlags(state)) < 0) {
      return fail(lastError("detach a disk from VM", name.value));
    }
    // A running guest lets go in its own time.
    while (true) {
      TRY(const auto now, describeDomain(domain, 0));
      if (findLun(now, lun) == nullptr) return {};
      if (std::chrono::steady_clock::now() >= deadline) {
        return fail(ErrorCode::Timeout,
                    "VM " + name.value + " does not let go of LUN " + std::to_string(lun));
      }
      std::this_thread::sleep_for(kPoll);
    }
  });
}

Result<std::vector<GuestAddress>> LibvirtHypervisor::addresses(const VmName& name, AddressSource source,
                                                               Deadline deadline) {
  const unsigned from = source == AddressSource::Lease ? VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
                                                       : VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT;
  return withDomain(name, deadline, [&name, from](virDomainPtr domain) -> Result<std::vector<GuestAddress>> {
    virDomainInterfacePtr* interfaces = nullptr;
    const int count = virDomainInterfaceAddresses(domain, &interfaces, from, 0);
    if (count < 0) return fail(lastError("addresses of VM", name.value));
    return readAddresses(interfaces, count);
  });
}

Result<std::string> LibvirtHypervisor::agentCommand(const VmName& name, const std::string& command,
                                                    Deadline deadline) {
  return withDomain(name, deadline, [&](virDomainPtr domain) -> Result<std::string> {
    const auto left =
        std::chrono::ceil<std::chrono::seconds>(deadline - std::chrono::steady_clock::now()).count();
    const int seconds = static_cast<int>(std::clamp<std::int64_t>(left, 1, 3600));
    const Text answer(virDomainQemuAgentCommand(domain, command.c_str(), seconds, 0));
    if (!answer) return fail(lastError("agent command in VM", name.value));
    return std::string(answer.get());
  });
}

Result<os::UniqueFd> LibvirtHypervisor::console(const VmName& name, Deadline deadline) {
  return with(deadline, [&name](Connection& connection) -> Result<os::UniqueFd> {
    TRY(const auto domain, connection.domain(name));
    TRY(const auto description, describeDomain(domain.get(), 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = description.console_socket.string();
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
      return fail(ErrorCode::Conflict, "VM " + name.value + " has no console socket");
    }
    path.copy(address.sun_path, path.size());
    os::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return fail(errnoError(errno, "socket", path));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      return fail(ErrorCode::Conflict, "the console of VM " + name.value + " does not answer; the VM runs?");
    }
    return fd;
  });
}

Result<void> LibvirtHypervisor::ensureNetwork(const NatNetwork& network, Deadline deadline) {
  TRY(const auto xml, networkXml(network));
  return with(deadline, [&](Connection& connection) -> Result<void> {
    NetworkHandle handle(virNetworkLookupByName(connection.handle, network.name.c_str()));
    if (!handle) handle.reset(virNetworkDefineXML(connection.handle, xml.c_str()));
    if (!handle) return fail(lastError("define network", network.name));
    if (virNetworkIsActive(handle.get()) == 1 || virNetworkCreate(handle.get()) == 0) return {};
    return fail(lastError("start network", network.name));
  });
}

Result<void> LibvirtHypervisor::removeNetwork(const std::string& name, Deadline deadline) {
  return with(deadline, [&](Connection& connection) -> Result<void> {
    const NetworkHandle handle(virNetworkLookupByName(connection.handle, name.c_str()));
    if (!handle) {
      Error error = lastError("find network", name);
      if (error.code == ErrorCode::NotFound) return {};
      return fail(std::move(error));
    }
    if (virNetworkIsActive(handle.get()) == 1 && virNetworkDestroy(handle.get()) < 0) {
      return fail(lastError("stop network", name));
    }
    if (virNetworkUndefine(handle.get()) < 0) return fail(lastError("undefine network", name));
    return {};
  });
}

}  // namespace berth::vm::libvirt
