#include "service/guard_keeper.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "guard/region.h"
#include "service/process_owner.h"

namespace berth::service {
namespace {

using std::chrono::steady_clock;

bool isRunning(const ContainerRecord& c) { return c.phase == Phase::Running || c.phase == Phase::Starting; }

std::map<std::string, std::vector<ledger::Berth>> berthsByContainer(const ledger::State& state) {
  std::map<std::string, std::vector<ledger::Berth>> berths;
  for (const ledger::Berth& berth : state.berths) {
    if (berth.holder.kind == ledger::HolderKind::Container) berths[berth.holder.name].push_back(berth);
  }
  return berths;
}

/// Every container that runs, with each GPU it has a berth on.
std::vector<std::pair<std::string, GpuUuid>> presentOn(const Book& book) {
  std::set<std::string> running;
  for (const auto& [name, workload] : book.workloads) {
    for (const ContainerRecord& c : workload->containers) {
      if (isRunning(c)) running.insert(c.name);
    }
  }
  std::vector<std::pair<std::string, GpuUuid>> present;
  for (const ledger::Berth& berth : book.state.berths) {
    if (running.contains(berth.holder.name)) present.emplace_back(berth.holder.name, berth.gpu);
  }
  return present;
}

void complain(std::string_view what, const std::string& container, const Result<void>& result) {
  if (result) return;
  log(LogLevel::Error, what, {{"container", container}, {"why", result.error().message}});
}

}  // namespace

std::map<std::string, Limited> limitedContainers(const Book& book) {
  const auto berths = berthsByContainer(book.state);
  std::map<std::string, Limited> limited;
  for (const auto& [name, workload] : book.workloads) {
    for (const ContainerRecord& c : workload->containers) {
      const auto held = berths.find(c.name);
      if (!isRunning(c) || held == berths.end()) continue;
      sharing::GuardedGpus gpus = sharing::guardedBy(held->second);
      if (!gpus.empty()) limited[c.name] = Limited{name, c.engine_id, std::move(gpus)};
    }
  }
  return limited;
}

Result<std::optional<container::GuardInContainer>> GuardKeeper::prepare(
    const std::vector<ledger::Berth>& berths) const {
  using Guard = std::optional<container::GuardInContainer>;
  const sharing::GuardedGpus gpus = sharing::guardedBy(berths);
  if (gpus.empty() || parts_.regions == nullptr) return Guard{};
  TRY(const sharing::GuardFiles files, parts_.regions->make(berths.front().holder.name, gpus));
  return Guard(container::GuardInContainer{files.library, files.preload, files.limits, files.usage});
}

bool GuardKeeper::follow() {
  if (parts_.regions == nullptr) return false;
  // The files first: those of a container whose start the book does not have yet are not there yet either.
  const sharing::PresentRegions present = parts_.regions->present();
  const std::shared_ptr<const Book> book = parts_.desk.book();
  std::map<std::string, sharing::GuardedGpus> wanted;
  for (auto& [name, limited] : limitedContainers(*book)) wanted[name] = limited.gpus;
  const sharing::RegionSteps steps = sharing::planRegions(wanted, present);
  for (const std::string& name : steps.set) {
    complain("limits do not follow", name, parts_.regions->setShares(name, wanted.at(name)));
  }
  for (const std::string& name : steps.remove) {
    complain("files of a guard are left", name, parts_.regions->remove(name));
  }
  return !steps.set.empty() || !steps.remove.empty();
}

LimitsInForce GuardKeeper::inForce(const Book& book, const GpuUuid& gpu) const {
  LimitsInForce now;
  if (parts_.regions == nullptr) return now;
  std::map<std::string, sharing::GuardedGpus> wanted;
  for (auto& [name, limited] : limitedContainers(book)) {
    if (std::ranges::find(limited.gpus, gpu, &sharing::GuardedGpu::gpu) != limited.gpus.end()) {
      wanted[name] = limited.gpus;
    }
  }
  if (wanted.empty()) return now;
  const sharing::RegionSteps steps = sharing::planRegions(wanted, parts_.regions->present());
  if (!steps.set.empty()) now.behind = steps.set.front();
  if (!steps.missing.empty()) now.lost = steps.missing.front();
  return now;
}

void GuardKeeper::look() {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  const std::map<std::string, Limited> limited = limitedContainers(*book);
  std::vector<Process> processes;
  // The driver before the reports: what it names had reported by then.
  const std::vector<sharing::DeviceReading> devices = readDevices(*book, processes, limited);
  const Reported reported = readReports(limited);
  account(*book, devices, limited, reported);
  if (parts_.regions == nullptr) return;
  learnContextCosts(processes, reported);
  giveFeedback(limited);
  markDead(reported, processes);
  audit(limited, processes, reported);
}

std::vector<sharing::DeviceReading> GuardKeeper::readDevices(
    const Book& book, std::vector<Process>& limited_processes,
    const std::map<std::string, Limited>& limited) const {
  std::vector<sharing::DeviceReading> devices;
  for (const ledger::Gpu& gpu : book.state.gpus) {
    if (gpu.health == ledger::Health::Lost || gpu.owner.kind == ledger::OwnerKind::Vm) continue;
    const auto processes = parts_.driver.processes(gpu.uuid);
    const auto sample = parts_.driver.sample(gpu.uuid);
    if (!sample || !processes) continue;
    sharing::DeviceReading device{
        gpu.uuid, sample->utilization_percent.value_or(0), sample->memory_used_bytes, {}};
    for (const gpu::GpuProcess& process : *processes) {
      std::string container = containerOfProcess(book, parts_.procfs, process.pid);
      device.processes.push_back({container, process.memory_bytes, process.sm_percent.value_or(0)});
      if (limited.contains(container)) limited_processes.push_back({std::move(container), process});
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

GuardKeeper::Reported GuardKeeper::readReports(const std::map<std::string, Limited>& limited) const {
  Reported reported;
  if (parts_.regions == nullptr) return reported;
  for (const auto& [name, container] : limited) {
    auto usage = parts_.regions->usage(name, container.gpus.size());
    // Without files it was started before this box had a guard, and cannot report; with damaged ones nobody
    // has.
    if (!usage && usage.error().code == ErrorCode::NotFound) continue;
    reported[name] = usage ? *std::move(usage) : std::vector<guard::ProcessUsage>{};
  }
  return reported;
}

bool GuardKeeper::guardMapped(const os::ProcessId& id, const std::string& executable) {
  const auto known = mapped_.find(id);
  if (known != mapped_.end() && known->second == executable) return true;
  // The one it was started with, which may be older than the daemon's. Where it cannot be looked into, the
  // slot decides.
  const Result<bool> mapped = parts_.procfs.hasMapped(id.pid, guard::kLibraryPath);
  if (!mapped || !*mapped) return !mapped;
  mapped_.insert_or_assign(id, executable);
  return true;
}

std::optional<sharing::AuditedProcess> GuardKeeper::audited(const gpu::GpuProcess& process) {
  const auto stat = parts_.procfs.stat(process.pid);
  const auto inner = parts_.procfs.inOwnNamespace(process.pid);
  if (!stat || !inner) return std::nullopt;
  const std::string executable = parts_.procfs.executableName(process.pid).value_or(stat->command);
  return sharing::AuditedProcess{stat->id, *inner, executable, guardMapped(stat->id, executable)};
}

void GuardKeeper::audit(const std::map<std::string, Limited>& limited, const std::vector<Process>& processes,
                        const Reported& reported) {
  std::map<std::string, sharing::AuditedContainer> containers;
  std::set<os::ProcessId> seen;
  for (const Process& each : processes) {
    const auto reports = reported.find(each.container);
    if (reports == reported.end()) continue;
    const auto process = audited(each.process);
    // One whose last moment this is need not be judged; one on two GPUs is judged once.
    if (!process || !seen.insert(process->id).second) continue;
    sharing::AuditedContainer& container = containers[each.container];
    container.name = each.container;
    container.processes.push_back(*process);
    container.reported = reports->second;
  }
  std::erase_if(mapped_, [&](const auto& known) { return !seen.contains(known.first); });
  std::vector<sharing::AuditedContainer> all;
  for (auto& [name, container] : containers) all.push_back(std::move(container));
  for (const sharing::Unreported& found : audit_.look(all, parts_.desk.clock().now())) act(found, limited);
}

void GuardKeeper::act(const sharing::Unreported& found, const std::map<std::string, Limited>& limited) {
  const Limited& container = limited.at(found.container);
  const bool stop = parts_.enforcement == sharing::Enforcement::Stop;
  const std::string what = "process " + std::to_string(found.process.id.pid) + " (" +
                           found.process.executable + ") uses the GPU without the guard";
  const Result<void> recorded = parts_.desk.change([&](Draft& draft) -> Result<void> {
    draft.event("guard.unreported", found.container, what + (stop ? "; the container is stopped" : ""));
    WorkloadRecord* workload = draft.workload(container.workload);
    if (workload == nullptr) return {};
    for (ContainerRecord& c : workload->containers) {
      if (c.name == found.container) c.message = what;
    }
    return {};
  });
  complain("an unreported process is not recorded", found.container, recorded);
  if (!stop) return;
  complain("a container cannot be stopped", found.container,
           parts_.engine.stop(container.engine_id, std::chrono::seconds(0)));
}

/// A process as a slot names it; nullopt: it is gone, or a zombie.
std::optional<GuardKeeper::SlotKey> GuardKeeper::slotKeyOf(std::int64_t pid) const {
  const auto stat = parts_.procfs.stat(pid);
  const auto inner = parts_.procfs.inOwnNamespace(pid);
  if (!stat || !inner || stat->state == 'Z') return std::nullopt;
  const guard::SlotOwner owner{static_cast<std::uint32_t>(inner->pid),
                               static_cast<std::uint64_t>(stat->id.start_ticks), false};
  return SlotKey{inner->pid_namespace, owner.word()};
}

std::set<GuardKeeper::SlotKey> GuardKeeper::slotKeysOf(const std::vector<std::int64_t>& pids) const {
  std::set<SlotKey> keys;
  for (const std::int64_t pid : pids) {
    if (const auto key = slotKeyOf(pid)) keys.insert(*key);
  }
  return keys;
}

/// Slots that hold memory of processes the driver does not name. Only of those it is worth to ask whether
/// they live.
std::vector<guard::ProcessUsage> GuardKeeper::doubtful(const std::string& container,
                                                       const std::vector<guard::ProcessUsage>& slots,
                                                       const std::set<SlotKey>& on_gpu) const {
  std::vector<guard::ProcessUsage> found;
  for (const guard::ProcessUsage& slot : slots) {
    const bool holds = std::ranges::any_of(slot.gpus, [](const auto& gpu) { return gpu.bytes > 0; });
    const bool named = on_gpu.contains({slot.pid_namespace, slot.owner.word()});
    if (!holds || named || slot.pid_namespace == 0 || slot.owner.reaping) continue;
    if (!marked_dead_.contains({container, slot.owner.word()})) found.push_back(slot);
  }
  return found;
}

/// The container's own processes cannot see into each other's PID namespaces; the daemon can.
void GuardKeeper::markDead(const Reported& reported, const std::vector<Process>& processes) {
  std::vector<std::int64_t> pids;
  for (const Process& each : processes) pids.push_back(each.process.pid);
  const std::set<SlotKey> on_gpu = slotKeysOf(pids);
  std::optional<std::set<SlotKey>> living;
  for (const auto& [container, slots] : reported) {
    std::vector<guard::ProcessUsage> dead = doubtful(container, slots, on_gpu);
    if (dead.empty()) continue;
    if (!living) {
      const auto all = parts_.procfs.processes();
      if (!all) return;
      living = slotKeysOf(*all);
    }
    std::erase_if(dead, [&](const guard::ProcessUsage& slot) {
      return living->contains({slot.pid_namespace, slot.owner.word()});
    });
    if (dead.empty() || !parts_.regions->markDead(container, dead)) continue;
    for (const guard::ProcessUsage& slot : dead) marked_dead_.emplace(container, slot.owner.word());
  }
  std::erase_if(marked_dead_, [&](const auto& mark) { return !reported.contains(mark.first); });
}

/// A container with a share has one GPU.
void GuardKeeper::learnContextCosts(const std::vector<Process>& processes, const Reported& reported) {
  std::vector<sharing::ContextSeen> seen;
  for (const Process& each : processes) {
    const auto slots = reported.find(each.container);
    const auto stat = parts_.procfs.stat(each.process.pid);
    const auto key = slotKeyOf(each.process.pid);
    if (slots == reported.end() || !stat || !key) continue;
    const auto slot = std::ranges::find_if(slots->second, [&](const guard::ProcessUsage& one) {
      return SlotKey{one.pid_namespace, one.owner.word()} == *key && one.has_context && one.gpus.size() == 1;
    });
    if (slot == slots->second.end()) continue;
    const auto counted = static_cast<std::int64_t>(slot->gpus.front().bytes);
    seen.push_back({each.container, stat->id, each.process.memory_bytes, counted});
  }
  context_costs_.look(seen);
}

void GuardKeeper::giveFeedback(const std::map<std::string, Limited>& limited) const {
  const std::vector<sharing::Feedback> feedback = accounts_.feedback();
  std::map<std::string, sharing::GuardedGpus> gpus_of;
  for (const auto& [name, container] : limited) gpus_of[name] = container.gpus;
  const auto turns = sharing::turnsOf(gpus_of);
  for (const auto& [name, container] : limited) {
    std::vector<guard::GpuFeedback> mine(container.gpus.size());
    for (std::size_t i = 0; i < mine.size(); ++i) {
      mine[i].context_bytes = context_costs_.of(name);
      mine[i].turn = turns.at(name)[i];
    }
    for (const sharing::Feedback& each : feedback) {
      const auto gpu = std::ranges::find(container.gpus, each.gpu, &sharing::GuardedGpu::gpu);
      if (each.container != name || gpu == container.gpus.end()) continue;
      guard::GpuFeedback& to = mine[static_cast<std::size_t>(gpu - container.gpus.begin())];
      to.charge_permille = each.charge_permille;
      to.contenders = each.contenders;
    }
    // A container that is just being made, or one of an older daemon, has no such file: follow() knows.
    static_cast<void>(parts_.regions->setFeedback(name, mine));
  }
}

void GuardKeeper::account(const Book& book, const std::vector<sharing::DeviceReading>& devices,
                          const std::map<std::string, Limited>& limited, const Reported& reported) {
  std::vector<sharing::GuardReading> guards;
  for (const auto& [name, processes] : reported) {
    const sharing::GuardedGpus& gpus = limited.at(name).gpus;
    for (std::size_t i = 0; i < gpus.size(); ++i) guards.push_back({name, gpus[i].gpu, processes, i});
  }
  const auto now = parts_.desk.clock().now();
  const auto elapsed = last_look_ ? now - *last_look_ : steady_clock::duration{};
  last_look_ = now;
  accounts_.add(devices, guards, presentOn(book), elapsed);
  auto report = accounts_.report();
  report_.with([&](auto& last) { last = std::move(report); });
}

std::vector<sharing::GpuReport> GuardKeeper::report() const {
  return report_.with([](const auto& last) { return last; });
}

}  // namespace berth::service
