#include "service/vm_keeper.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"

namespace berth::service {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kAsk{20};   // A question to libvirt; the first one after its start takes long.
constexpr seconds kAct{180};  // Defining with a cold cache of capabilities, copying firmware.
constexpr seconds kShutDownSlice{
    5};  // Then the book is looked at again: the VM may be wanted gone meanwhile.
constexpr seconds kRetry{2};
constexpr seconds kAddressInterval{5};
constexpr std::int64_t kMostAttempts = 2;
constexpr std::int64_t kMostBusyAttempts = 30;  // A GPU whose users are ending.
constexpr int kPercentStep = 5;

template <class... Fn>
struct Overloaded : Fn... {
  using Fn::operator()...;
};

vm::Deadline in(seconds time) { return steady_clock::now() + time; }

std::string label(const ledger::Gpu& gpu) { return "GPU " + std::to_string(gpu.index); }

ledger::Holder holderOf(const std::string& vm) { return {ledger::HolderKind::Vm, vm}; }

/// Worth waiting for: the hypervisor may come back.
bool isTransient(const Error& error) {
  return (error.code == ErrorCode::Unavailable && error.reason != "PassthroughUnavailable") ||
         error.code == ErrorCode::Timeout;
}

bool isStarting(const VmStep& step) {
  return std::holds_alternative<StartVm>(step) || std::holds_alternative<RebootVm>(step);
}

/// Gives the error to the operations that wait for `target`: what they wait for may be gone when they are
/// looked at.
void failWaiting(Draft& draft, const std::string& target, const Error& error) {
  const std::map<std::string, std::shared_ptr<const Operation>> operations = draft.book.operations;
  for (const auto& [id, operation] : operations) {
    const bool waits = operation->state == Operation::State::Running &&
                       std::ranges::find(operation->targets, target) != operation->targets.end();
    if (waits) draft.operation(id)->error = error;
  }
}

/// The VM goes back to where it came from, and whoever asked for the start is told why.
void failStart(Draft& draft, VmRecord& vm, const Error& error) {
  draft.event("vm.failed", vm.name, error.message);
  failWaiting(draft, "vm/" + vm.name, error);
  vm = startFailed(vm, error);
}

vm::Nic nicOf(const VmRecord& vm, std::size_t index) {
  const VmNic& asked = vm.asked.nics[index];
  vm::Nic nic;
  nic.mac = asked.mac.empty() ? vm::macAddress(vm.uuid, static_cast<int>(index)) : asked.mac;
  nic.bridge = asked.bridge;
  if (asked.bridge.empty()) nic.network = asked.network.empty() ? defaultNetwork().name : asked.network;
  return nic;
}

bool usesDefaultNetwork(const VmRecord& vm) {
  return std::ranges::any_of(vm.asked.nics,
                             [](const VmNic& nic) { return nic.network.empty() && nic.bridge.empty(); });
}

/// What a deallocated VM has and its policy would not leave it.
bool givesGpus(const ledger::State& state, const VmRecord& vm) {
  const bool holds = !gpusOf(state, vm.name).empty();
  const bool lends =
      std::ranges::any_of(state.loans, [&](const ledger::Loan& loan) { return loan.vm == vm.name; });
  switch (vm.policy) {
    case vm::GpuPolicy::Hold:
      return false;
    case vm::GpuPolicy::Lend:
      return holds;
    case vm::GpuPolicy::Release:
      break;
  }
  return holds || lends;
}

}  // namespace

std::string domainId(const std::string& instance, const std::string& uuid) { return instance + ":" + uuid; }

vm::NatNetwork defaultNetwork() {
  vm::NatNetwork network;
  network.name = "berth-default";
  network.uuid = "6b0e5f0a-4d43-4b5f-9d0d-b1e7a0000001";
  network.bridge = "berth-nat0";
  network.gateway = "10.126.0.1";
  network.prefix = 24;
  network.dhcp_first = "10.126.0.100";
  network.dhcp_last = "10.126.0.250";
  return network;
}

std::vector<ledger::Gpu> gpusOf(const ledger::State& state, const std::string& vm) {
  std::vector<ledger::Gpu> gpus;
  for (const ledger::Gpu& gpu : state.gpus) {
    for (const ledger::Berth* berth : ledger::berthsOn(state, gpu.uuid)) {
      if (berth->holder == holderOf(vm)) gpus.push_back(gpu);
    }
  }
  return gpus;
}

vm::VmSpec domainOf(const VmRecord& vm, const std::vector<ledger::Gpu>& gpus, const VmFiles& files,
                    const VmHost& host) {
  vm::VmSpec spec;
  spec.name = vm::VmName(vm.name);
  spec.id = domainId(host.instance, vm.uuid);
  spec.uuid = vm.uuid;
  spec.generation = vm.asked.generation;
  spec.os = vm.asked.os;
  spec.accelerator = host.accelerator;
  spec.vcpus = vm.asked.size.vcpus;
  spec.memory = vm.asked.size.memory;
  spec.firmware.vars = files.firmwareVariables(vm.name);
  spec.os_disk = files.osDisk(vm.name);
  if (!vm.asked.user.empty()) spec.seed_iso = files.seed(vm.name);
  for (const VmDisk& disk : vm.asked.disks) {
    spec.data_disks.push_back({disk.lun, files.dataDisk(vm.name, disk.lun)});
  }
  for (std::size_t i = 0; i < vm.asked.nics.size(); ++i) spec.nics.push_back(nicOf(vm, i));
  spec.console_socket = files.console(vm.name);
  for (const ledger::Gpu& gpu : gpus) {
    if (gpu.simulated) {
      ++spec.stand_in_gpus;
    } else {
      spec.gpus.push_back(gpu.pci);
    }
  }
  return spec;
}

void VmKeeper::tend(const std::string& name) {
  while (true) {
    const std::shared_ptr<const Book> book = parts_.desk.book();
    const auto found = book->vms.find(name);
    if (found == book->vms.end()) return;
    const std::shared_ptr<const VmRecord> vm = found->second;
    const Result<VmWorld> world = observe(*book, *vm);
    if (!world) return failed(*vm, VmIdle{}, world.error());
    const VmStep step = nextStep(*vm, *world);
    const Result<Next> next = carryOut(*vm, step);
    if (!next) return failed(*vm, step, next.error());
    if (*next == Next::Rest) return;
  }
}

Result<VmWorld> VmKeeper::observe(const Book& book, const VmRecord& vm) {
  VmWorld world;
  if (waitsForGpus(vm)) {
    world.domain = vm::DomainState::Off;
  } else {
    TRY(world.domain, parts_.hypervisor.state(vm::VmName(vm.name), in(kAsk)));
  }
  world.has_gpus = static_cast<int>(gpusOf(book.state, vm.name).size()) >= vm.asked.size.gpus;
  world.gives_gpus = givesGpus(book.state, vm);
  world.boot_id = parts_.boot_id;
  world.now = parts_.desk.clock().wallTime();
  return world;
}

Result<VmKeeper::Next> VmKeeper::carryOut(const VmRecord& vm, const VmStep& step) {
  const auto went = [](Result<void> done) -> Result<Next> {
    if (!done) return fail(std::move(done).error());
    return Next::GoOn;
  };
  const vm::VmName name(vm.name);
  return std::visit(Overloaded{
                        [&](const ClaimGpus&) { return claim(vm); },
                        [&](const EvictUsers&) { return went(evict(vm)); },
                        [&](const StartVm&) { return went(start(vm)); },
                        [&](const RebootVm&) { return went(reboot(vm)); },
                        [&](const ShutDownVm&) { return went(shutDown(vm)); },
                        [&](const DestroyVm&) { return went(parts_.hypervisor.destroy(name, in(kAct))); },
                        [&](const GiveUpGpus&) { return went(giveUp(vm)); },
                        [&](const RemoveVm&) { return went(remove(vm)); },
                        [&](const RecordPower& reached) { return went(record(vm, reached.power)); },
                        [&](const GiveUpStart& refusal) { return went(giveUpStart(vm, refusal.error)); },
                        [&](const VmIdle&) -> Result<Next> {
                          TRY_VOID(refreshAddresses(vm));
                          return Next::Rest;
                        },
                    },
                    step);
}

Result<void> VmKeeper::update(const std::string& name, const std::function<void(Draft&, VmRecord&)>& change) {
  return parts_.desk.change([&](Draft& draft) -> Result<void> {
    if (VmRecord* vm = draft.vm(name)) change(draft, *vm);
    return {};
  });
}

/// What did not work is tried again while there is hope; a start that fails goes back to where it came from.
void VmKeeper::failed(const VmRecord& vm, const VmStep& step, const Error& error) {
  log(LogLevel::Warning, "VM is tried again later", {{"vm", vm.name}, {"why", error.message}});
  const bool counts = isStarting(step) && !isTransient(error);
  const std::int64_t most = error.code == ErrorCode::Conflict ? kMostBusyAttempts : kMostAttempts;
  const bool over = counts && vm.attempts + 1 >= most;
  VmRecord after = vm;
  if (counts) ++after.attempts;
  if (isBusy(after)) after.message = "waiting: " + error.message;
  // What changes nothing is not written, or each commit would ask for the next look at once.
  if (over || after != vm) {
    const Result<void> noted = update(vm.name, [&](Draft& draft, VmRecord& now) {
      if (over) {
        failStart(draft, now, error);
      } else {
        now.attempts = after.attempts;
        now.message = after.message;
      }
    });
    if (!noted) log(LogLevel::Error, "a VM's failure is not recorded", {{"why", noted.error().message}});
  }
  parts_.again(vm.name, parts_.desk.clock().now() + kRetry);
}

/// The loan goes on: those who use the GPU keep it, and others may come.
Result<void> VmKeeper::giveUpStart(const VmRecord& vm, Error error) {
  return update(vm.name, [&](Draft& draft, VmRecord& now) {
    const ledger::Holder holder = holderOf(vm.name);
    const auto refused =
        draft.decide(arbiter::ClaimWholeGpus{holder, vm.asked.size.gpus}, parts_.desk.policy());
    if (refused) {  // The last of them has just ended.
      now.recalling = false;
      now.deadline = {};
      return;
    }
    error.details = refused.error().details;
    static_cast<void>(draft.decide(arbiter::RecallLent{holder, false}, parts_.desk.policy()));
    failStart(draft, now, error);
  });
}

Result<VmKeeper::Next> VmKeeper::claim(const VmRecord& vm) {
  const auto claimed = parts_.desk.change([&](Draft& draft) -> Result<void> {
    VmRecord* now = draft.vm(vm.name);
    if (now == nullptr || !now->recalling) return {};
    TRY_VOID(
        draft.decide(arbiter::ClaimWholeGpus{holderOf(vm.name), vm.asked.size.gpus}, parts_.desk.policy()));
    now->recalling = false;
    now->evicting = false;
    now->deadline = {};
    return {};
  });
  if (claimed) return Next::GoOn;
  if (claimed.error().code != ErrorCode::Refused) return fail(claimed.error());
  const auto left = vm.deadline - parts_.desk.clock().wallTime();
  parts_.again(vm.name, parts_.desk.clock().now() + std::chrono::duration_cast<steady_clock::duration>(left));
  return Next::Rest;
}

Result<void> VmKeeper::evict(const VmRecord& vm) {
  return update(vm.name, [&](Draft& draft, VmRecord& now) {
    std::set<std::string> users;
    for (const ledger::Loan& loan : draft.book.state.loans) {
      if (loan.vm != vm.name) continue;
      for (const ledger::Berth* berth : ledger::berthsOn(draft.book.state, loan.gpu)) {
        users.insert(berth->holder.name.substr(0, berth->holder.name.find('/')));
      }
    }
    for (const std::string& user : users) {
      WorkloadRecord* workload = draft.workload(user);
      if (workload == nullptr || workload->desired != Desired::Running) continue;
      workload->desired = Desired::Stopped;
      draft.event("workload.stopped", user, "its GPU goes back to VM " + vm.name + ", which had lent it");
    }
    now.evicting = true;
    now.deadline = draft.now + kEvictionTime;
  });
}

Result<void> VmKeeper::start(const VmRecord& vm) {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  const std::vector<ledger::Gpu> gpus = gpusOf(book->state, vm.name);
  const vm::Accelerator accelerator = parts_.accelerator();
  TRY_VOID(parts_.files.make(vm, in(kAct)).during("disks of VM " + vm.name));
  if (usesDefaultNetwork(vm)) TRY_VOID(parts_.hypervisor.ensureNetwork(defaultNetwork(), in(kAct)));
  for (const ledger::Gpu& gpu : gpus) TRY_VOID(parts_.gpus.toGuest(gpu, in(kAct)).during(label(gpu)));
  if (!gpus.empty()) parts_.gpus_changed();
  TRY_VOID(
      parts_.hypervisor.define(domainOf(vm, gpus, parts_.files, {parts_.instance, accelerator}), in(kAct)));
  TRY_VOID(parts_.hypervisor.start(vm::VmName(vm.name), in(kAct)));
  return update(vm.name, [&](Draft& draft, VmRecord& now) {
    now.accelerator = accelerator == vm::Accelerator::Kvm ? "kvm" : "tcg";
    if (now.desired != VmDesired::Running) return;
    now = settled(now, vm::PowerState::Running, parts_.boot_id);
    draft.event("vm.running", vm.name, "started");
  });
}

/// A guest that cannot be asked is ended, and started as the next step.
Result<void> VmKeeper::reboot(const VmRecord& vm) {
  const vm::VmName name(vm.name);
  Result<void> done = parts_.hypervisor.reboot(name, in(kAct));
  if (done) return record(vm, vm::PowerState::Running);
  if (isTransient(done.error())) return done;
  return parts_.hypervisor.destroy(name, in(kAct));
}

Result<void> VmKeeper::shutDown(const VmRecord& vm) {
  const auto left = vm.deadline - parts_.desk.clock().wallTime();
  const auto slice = std::min<std::chrono::nanoseconds>(left, kShutDownSlice);
  Result<void> off = parts_.hypervisor.shutdown(vm::VmName(vm.name), steady_clock::now() + slice);
  // Not off yet, or the guest cannot be asked: the deadline decides.
  if (off || off.error().code == ErrorCode::Timeout) return {};
  if (isTransient(off.error())) return off;
  return parts_.hypervisor.destroy(vm::VmName(vm.name), in(kAct));
}

Result<void> VmKeeper::toHost(const VmRecord& vm) {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  const std::vector<ledger::Gpu> gpus = gpusOf(book->state, vm.name);
  for (const ledger::Gpu& gpu : gpus) TRY_VOID(parts_.gpus.toHost(gpu, in(kAct)).during(label(gpu)));
  if (!gpus.empty()) parts_.gpus_changed();
  return {};
}

/// The guest is off. The GPU is back at the host's driver before anyone else may have it.
Result<void> VmKeeper::giveUp(const VmRecord& vm) {
  const bool gives = vm.policy != vm::GpuPolicy::Hold;
  if (gives) TRY_VOID(toHost(vm));
  return parts_.desk.change([&](Draft& draft) -> Result<void> {
    VmRecord* now = draft.vm(vm.name);
    if (now == nullptr || now->desired != VmDesired::Deallocated || now->policy != vm.policy) return {};
    const ledger::Holder holder = holderOf(vm.name);
    if (vm.policy == vm::GpuPolicy::Release) {
      TRY_VOID(draft.decide(arbiter::ReleaseHolder{holder}, parts_.desk.policy()));
    } else if (vm.policy == vm::GpuPolicy::Lend) {
      TRY_VOID(draft.decide(arbiter::LendHeld{holder}, parts_.desk.policy()));
    }
    if (now->power != vm::PowerState::Deallocated) draft.event("vm.deallocated", vm.name, "deallocated");
    *now = settled(*now, vm::PowerState::Deallocated, parts_.boot_id);
    return {};
  });
}

Result<void> VmKeeper::remove(const VmRecord& vm) {
  TRY_VOID(parts_.hypervisor.undefine(vm::VmName(vm.name), in(kAct)));
  TRY_VOID(toHost(vm));
  TRY_VOID(parts_.files.remove(vm));
  removeNetwork(vm);
  return parts_.desk.change([&](Draft& draft) -> Result<void> {
    TRY_VOID(draft.decide(arbiter::ReleaseHolder{holderOf(vm.name)}, parts_.desk.policy()));
    draft.book.vms.erase(vm.name);
    draft.event("vm.deleted", vm.name, "deleted");
    return {};
  });
}

/// Berth's own network goes with the last VM on it. Best effort: an empty one is in nobody's way, and a VM
/// that starts meanwhile makes it again.
void VmKeeper::removeNetwork(const VmRecord& vm) {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  const auto another = [&](const auto& entry) {
    return entry.first != vm.name && usesDefaultNetwork(*entry.second);
  };
  if (!usesDefaultNetwork(vm) || std::ranges::any_of(book->vms, another)) return;
  const Result<void> removed = parts_.hypervisor.removeNetwork(defaultNetwork().name, in(kAct));
  if (!removed) log(LogLevel::Warning, "Berth's network stays", {{"why", removed.error().message}});
}

Result<void> VmKeeper::record(const VmRecord& vm, vm::PowerState power) {
  return update(vm.name, [&](Draft& draft, VmRecord& now) {
    if (now.desired != vm.desired) return;  // Somebody changed their mind: asked again with that.
    const bool known = now.power == power;
    now = settled(now, power, parts_.boot_id);
    if (known) return;
    const bool running = power == vm::PowerState::Running;
    draft.event(running ? "vm.running" : "vm.stopped", vm.name, running ? "runs" : "is off");
  });
}

Result<void> VmKeeper::refreshAddresses(const VmRecord& vm) {
  if (vm.power != vm::PowerState::Running || vm.asked.nics.empty()) return {};
  auto addresses = parts_.hypervisor.addresses(vm::VmName(vm.name), vm::AddressSource::Lease, in(kAsk));
  parts_.again(vm.name, parts_.desk.clock().now() + kAddressInterval);
  if (!addresses || *addresses == vm.addresses) return {};
  return update(vm.name, [&](Draft& /*draft*/, VmRecord& now) { now.addresses = *addresses; });
}

Result<void> VmKeeper::takeBack(const GpuUuid& uuid) {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  const ledger::Gpu* gpu = ledger::findGpu(book->state, uuid);
  if (gpu == nullptr) return {};
  const auto of_vm = [](const ledger::Berth* berth) { return berth->holder.kind == ledger::HolderKind::Vm; };
  if (std::ranges::any_of(ledger::berthsOn(book->state, uuid), of_vm)) return {};
  TRY_VOID(parts_.gpus.toHost(*gpu, in(kAct)).during(label(*gpu)));
  parts_.gpus_changed();
  return {};
}

Result<void> VmKeeper::removeOrphans() {
  TRY(const std::vector<vm::DomainInfo> domains, parts_.hypervisor.list(in(kAsk)));
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const vm::DomainInfo& domain : domains) {
    const auto known = book->vms.find(domain.name.value);
    if (!domain.berth_id.starts_with(domainId(parts_.instance, ""))) continue;  // Another daemon's.
    if (known != book->vms.end() && domainId(parts_.instance, known->second->uuid) == domain.berth_id)
      continue;
    log(LogLevel::Warning, "ending a VM that nobody asked for", {{"vm", domain.name.value}});
    TRY_VOID(parts_.hypervisor.destroy(domain.name, in(kAct)));
    TRY_VOID(parts_.hypervisor.undefine(domain.name, in(kAct)));
  }
  return {};
}

void VmKeeper::tendImage(const std::string& name) {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  const auto found = book->images.find(name);
  if (found == book->images.end()) return;
  const ImageRecord& image = *found->second;
  Result<void> done;
  if (!image.wanted) {
    done = parts_.files.removeImage(name);
    if (done) {
      done = parts_.desk.change([&](Draft& draft) -> Result<void> {
        draft.book.images.erase(name);
        draft.event("image.removed", name, "removed");
        return {};
      });
    }
  } else if (image.state == ImageRecord::State::Importing) {
    done = importImage(image);
  }
  if (done) return;
  log(LogLevel::Warning, "image is tried again later", {{"image", name}, {"why", done.error().message}});
  parts_.image_again(name, parts_.desk.clock().now() + kRetry);
}

/// What the file is refused for is recorded; it is not tried again.
Result<void> VmKeeper::importImage(const ImageRecord& image) {
  const std::string& name = image.info.name;
  const auto progress = [&](int percent) {
    const std::shared_ptr<const Book> book = parts_.desk.book();
    const auto now = book->images.find(name);
    if (now == book->images.end() || percent < now->second->percent + kPercentStep) return;
    const Result<void> told = parts_.desk.change([&](Draft& draft) -> Result<void> {
      if (ImageRecord* record = draft.image(name)) record->percent = percent;
      return {};
    });
    if (!told) log(LogLevel::Warning, "progress is not recorded", {{"why", told.error().message}});
  };
  const Result<vm::ImageInfo> made = parts_.files.import(image, progress);
  return parts_.desk.change([&](Draft& draft) -> Result<void> {
    ImageRecord* record = draft.image(name);
    if (record == nullptr) return {};
    if (!made) failWaiting(draft, "image/" + name, made.error());
    if (made) {
      record->info = *made;
      record->state = ImageRecord::State::Ready;
      record->percent = 100;
      draft.event("image.ready", name, "imported from " + record->source);
      return {};
    }
    record->error = made.error();
    record->state = ImageRecord::State::Failed;
    record->wanted = false;  // Nothing half done stays.
    draft.event("image.failed", name, made.error().message);
    return {};
  });
}

}  // namespace berth::service
