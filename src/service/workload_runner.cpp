#include "service/workload_runner.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"

namespace berth::service {
namespace {

using std::chrono::steady_clock;

constexpr std::string_view kInstanceLabel = "dev.berth.instance";
constexpr std::string_view kContainerLabel = "dev.berth.container";
constexpr std::string_view kAttemptLabel = "dev.berth.attempt";
constexpr std::string_view kPodLabel = "dev.berth.pod";  // Of a volume: "<workload>/<pod>".
constexpr std::chrono::seconds kEngineRetry{2};
// Between the end of a container's process and the engine's knowing its exit code.
constexpr std::chrono::milliseconds kExitLag{30};
// What Kubernetes reports for a container that could not be started.
constexpr int kStartFailedExitCode = 128;

template <class... Fn>
struct Overloaded : Fn... {
  using Fn::operator()...;
};

const ContainerRecord* find(const WorkloadRecord& workload, const std::string& name) {
  const auto it = std::ranges::find(workload.containers, name, &ContainerRecord::name);
  return it == workload.containers.end() ? nullptr : &*it;
}

std::vector<ledger::Berth> berthsOf(const ledger::State& state, const std::string& container) {
  std::vector<ledger::Berth> berths;
  for (const ledger::Berth& berth : state.berths) {
    if (berth.holder.kind == ledger::HolderKind::Container && berth.holder.name == container) {
      berths.push_back(berth);
    }
  }
  return berths;
}

std::string_view labelOf(const std::vector<std::pair<std::string, std::string>>& labels,
                         std::string_view key) {
  for (const auto& [name, value] : labels) {
    if (name == key) return value;
  }
  return {};
}

/// "<workload>/<pod>"
std::string podName(const ContainerRecord& record) { return record.name.substr(0, record.name.rfind('/')); }

/// The message and what it is about: "...: /lib/libcuda.so.1 is not /host/libcuda.so.1".
std::string wholeText(const Error& error) {
  std::string text = error.message;
  for (const ErrorDetail& detail : error.details) {
    text += (&detail == &error.details.front() ? ": " : "; ") + detail.target + " " + detail.message;
  }
  return text;
}

/// "berth-<workload>-<pod>-<volume>"
std::string podVolume(const ContainerRecord& record, const std::string& volume) {
  std::string name = "berth-" + podName(record) + "-" + volume;
  std::ranges::replace(name, '/', '-');
  return name;
}

/// The volumes that one container mounts and that are its pod's own.
std::set<std::string> podVolumes(const WorkloadRecord& workload, const ContainerRecord& record) {
  std::set<std::string> names;
  for (const manifest::Mount& mount :
       workload.spec.containers.at(static_cast<std::size_t>(record.spec)).mounts) {
    if (mount.ephemeral) names.insert(podVolume(record, mount.source));
  }
  return names;
}

/// Whether none of the pod's containers was started since the pod began: what an earlier pod of that number
/// left is not its own.
bool begins(const WorkloadRecord& workload, int pod) {
  return std::ranges::all_of(workload.containers, [&](const ContainerRecord& c) {
    return c.pod != pod || c.attempt == 0 || (c.phase == Phase::Waiting && c.counted);
  });
}

Seen seenFrom(const container::ContainerStatus& status) {
  if (status.state == container::ContainerState::Running) return {Seen::State::Running, 0, ""};
  return {Seen::State::NotRunning, status.exit_code, status.oom_killed ? "out of memory" : status.error};
}

/// Waits on the steady clock for what was planned by the wall clock; a clock that jumps only makes it look
/// too early or too late once, since the supervisor is asked again.
steady_clock::time_point steadyTime(const Clock& clock, WallTime when) {
  return clock.now() + std::chrono::duration_cast<steady_clock::duration>(when - clock.wallTime());
}

/// A process that nobody has reaped yet counts: it has no files to look at any more.
bool hasEnded(std::int64_t pid) {
  const Result<os::PidFd> process = os::PidFd::open(pid);
  return !process || process->exited();
}

}  // namespace

std::string engineName(const ContainerRecord& container) {
  std::string name = "berth-" + container.name;
  std::ranges::replace(name, '/', '-');
  return name;
}

Result<container::ContainerConfig> containerConfig(const manifest::Workload& workload,
                                                   const ContainerRecord& record,
                                                   const container::GpuEdits& edits,
                                                   const std::string& instance) {
  const manifest::Container& spec = workload.containers.at(static_cast<std::size_t>(record.spec));
  container::ContainerConfig config;
  config.name = engineName(record);
  config.image = spec.image;
  config.entrypoint = spec.command;
  config.command = spec.args;
  config.env = spec.env;
  config.working_dir = spec.working_dir;
  for (const manifest::Mount& mount : spec.mounts) {
    // An emptyDir belongs to its pod; a named volume or a path is the same for all.
    const std::string source = mount.ephemeral ? podVolume(record, mount.source) : mount.source;
    config.binds.push_back({source, mount.target, mount.read_only, mount.volume || mount.ephemeral});
  }
  for (const manifest::Port& port : spec.ports) {
    if (port.host_port != 0) config.ports.push_back({port.container_port, port.host_port, port.protocol});
  }
  config.labels = {{std::string(kInstanceLabel), instance},
                   {std::string(kContainerLabel), record.name},
                   {std::string(kAttemptLabel), std::to_string(record.attempt)}};
  config.host_pid = workload.host_pid;
  config.host_ipc = workload.host_ipc;
  config.host_network = workload.host_network;
  config.privileged = spec.privileged;
  config.tty = spec.tty;
  if (spec.run_as_user) config.user = std::to_string(*spec.run_as_user);
  config.memory_limit_bytes = spec.memory_limit_bytes;
  config.cpu_limit = spec.cpu_limit;
  TRY_VOID(container::applyEdits(edits, config));
  return config;
}

WorkloadRunner::~WorkloadRunner() {
  const auto watched = watched_.with([](auto& all) { return std::exchange(all, {}); });
  for (const auto& [name, id] : watched) parts_.watcher.unwatch(id);
}

void WorkloadRunner::tend(const std::string& name) {
  while (true) {
    const std::shared_ptr<const Book> book = parts_.desk.book();
    const auto found = book->workloads.find(name);
    if (found == book->workloads.end()) return;
    const Step step = nextStep(*found->second, observe(*found->second));
    const Result<Next> next = carryOut(*found->second, step);
    if (!next) {
      log(LogLevel::Warning, "workload is tried again later",
          {{"workload", name}, {"why", next.error().message}});
      parts_.again(name, parts_.desk.clock().now() + kEngineRetry);
      return;
    }
    if (*next == Next::Rest) return;
  }
}

World WorkloadRunner::observe(const WorkloadRecord& workload) {
  World world;
  world.now = parts_.desk.clock().wallTime();
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const ContainerRecord& c : workload.containers) {
    const std::vector<ledger::Berth> berths = berthsOf(book->state, c.name);
    if (!berths.empty()) world.sharing[c.name] = parts_.gpus.sharing(book->state, berths);
    if (c.phase != Phase::Running) continue;
    // An engine that does not answer says nothing about the container: leave it out, and look again later.
    if (auto seen = look(c)) {
      world.containers[c.name] = std::move(*seen);
    } else {
      parts_.again(workload.spec.name.value, parts_.desk.clock().now() + kEngineRetry);
    }
  }
  return world;
}

Result<Seen> WorkloadRunner::look(const ContainerRecord& container) {
  Result<container::ContainerStatus> status = parts_.engine.inspect(container.engine_id);
  if (status) {
    if (status->state == container::ContainerState::Running) {
      watch(container.name.substr(0, container.name.find('/')), container.name, status->pid);
    }
    return seenFrom(*status);
  }
  if (status.error().code == ErrorCode::NotFound) return Seen{Seen::State::Missing, 0, ""};
  return fail(std::move(status).error());
}

Result<WorkloadRunner::Next> WorkloadRunner::carryOut(const WorkloadRecord& workload, const Step& step) {
  const std::string& name = workload.spec.name.value;
  const auto goOn = [](Result<void> done) -> Result<Next> {
    if (!done) return fail(std::move(done).error());
    return Next::GoOn;
  };
  return std::visit(Overloaded{[&](const StartContainer& s) { return goOn(start(workload, s.name)); },
                               [&](const StopContainer& s) { return goOn(stop(workload, s)); },
                               [&](const Forget& /*s*/) -> Result<Next> {
                                 TRY_VOID(forget(workload));
                                 return Next::Rest;
                               },
                               [&](const Idle& s) -> Result<Next> {
                                 if (s.until != WallTime::max())
                                   parts_.again(name, steadyTime(parts_.desk.clock(), s.until));
                                 return Next::Rest;
                               },
                               [&](const auto& s) { return goOn(record(name, Step(s))); }},
                    step);
}

Result<void> WorkloadRunner::record(const std::string& workload, const Step& step) {
  return parts_.desk.change([&](Draft& draft) -> Result<void> {
    WorkloadRecord* record = draft.workload(workload);
    if (record == nullptr) return fail(ErrorCode::NotFound, "workload " + workload + " is gone");
    *record = after(std::move(*record), step, draft.now);
    const auto* stop = std::get_if<StopContainer>(&step);
    if (stop != nullptr && stop->afterwards == Afterwards::Failed) {
      draft.event("container.stopped", stop->name, find(*record, stop->name)->message);
    }
    if (const auto* exit = std::get_if<RecordExit>(&step)) {
      const std::string why = exit->message.empty() ? "" : ": " + exit->message;
      draft.event("container.exited", exit->name, "status " + std::to_string(exit->exit_code) + why);
    }
    if (const auto* finish = std::get_if<Finish>(&step)) {
      const bool good = finish->outcome == Outcome::Succeeded;
      draft.event(good ? "workload.succeeded" : "workload.failed", workload, finish->message);
    }
    if (const auto* done = std::get_if<MarkDone>(&step)) {
      const int pod = find(*record, done->name)->pod;
      for (const ContainerRecord& c : record->containers) {
        if (c.pod != pod) continue;
        const arbiter::ReleaseHolder release{{ledger::HolderKind::Container, c.name}};
        TRY_VOID(draft.decide(release, parts_.desk.policy()));
      }
    }
    return {};
  });
}

Result<void> WorkloadRunner::start(const WorkloadRecord& workload, const std::string& name) {
  const std::string& workload_name = workload.spec.name.value;
  // An attempt whose intent is on disk already goes on: the engine was away, or we were.
  const ContainerRecord& asked = *find(workload, name);
  if (asked.phase != Phase::Starting) {
    if (begins(workload, asked.pod)) TRY_VOID(clearPod(workload, asked.pod));
    TRY_VOID(record(workload_name, StartContainer{name}));
  }

  const std::shared_ptr<const Book> book = parts_.desk.book();
  const auto current = book->workloads.find(workload_name);
  if (current == book->workloads.end()) return {};
  const ContainerRecord& container = *find(*current->second, name);
  const std::vector<ledger::Berth> berths = berthsOf(book->state, name);
  std::optional<SharingStamp> stamp;
  if (!berths.empty()) {
    const Sharing sharing = parts_.gpus.sharing(book->state, berths);
    stamp = SharingStamp{sharing.mode, sharing.generation.value_or(0)};
  }

  Result<ContainerId> id = launch(*current->second, container, berths, book->state);
  if (!id && id.error().code == ErrorCode::Unavailable) return fail(std::move(id).error());
  if (!id) return record(workload_name, RecordExit{name, kStartFailedExitCode, wholeText(id.error())});
  return parts_.desk.change([&](Draft& draft) -> Result<void> {
    WorkloadRecord* record = draft.workload(workload_name);
    if (record == nullptr) return fail(ErrorCode::NotFound, "workload " + workload_name + " is gone");
    const auto c = std::ranges::find(record->containers, name, &ContainerRecord::name);
    c->phase = Phase::Running;
    c->engine_id = *id;
    c->started = draft.now;
    c->sharing = stamp;
    draft.event("container.started", name, "attempt " + std::to_string(c->attempt));
    return {};
  });
}

Result<ContainerId> WorkloadRunner::launch(const WorkloadRecord& workload, const ContainerRecord& container,
                                           const std::vector<ledger::Berth>& berths,
                                           const ledger::State& state) {
  container::GpuEdits edits;
  if (!berths.empty()) {
    TRY(edits, parts_.gpus.edits(state, berths, workload.spec.host_ipc));
  }
  TRY(const container::ContainerConfig config,
      containerConfig(workload.spec, container, edits, parts_.instance));
  TRY_VOID(removeLeftover(config.name, container.engine_id));
  TRY_VOID(makePodVolumes(workload, container));
  TRY(ContainerId id, parts_.engine.create(config).during("making container " + config.name));
  Result<void> started = parts_.engine.start(id).during("starting container " + config.name);
  if (started && !berths.empty()) {
    Result<container::ContainerStatus> status = parts_.engine.inspect(id);
    // One that has ended already had its chance; one that runs must have its GPU.
    if (status && status->state == container::ContainerState::Running) {
      started = parts_.gpus.verify(status->pid, edits);
      if (!started && hasEnded(status->pid)) started = {};
    }
  }
  if (!started) {
    static_cast<void>(parts_.engine.remove(id, true));  // removeOrphans() finds what this cannot remove.
    return fail(std::move(started).error());
  }
  return id;
}

/// A container of this name is one an earlier attempt left: ended and kept for its logs, or cut off by a
/// crash.
Result<void> WorkloadRunner::removeLeftover(const std::string& engine_name, const ContainerId& known) {
  if (!known.value.empty()) TRY_VOID(parts_.engine.remove(known, true));
  TRY(const auto ours, parts_.engine.list(kInstanceLabel, parts_.instance));
  for (const container::ContainerStatus& status : ours) {
    if (status.name == engine_name) TRY_VOID(parts_.engine.remove(status.id, true));
  }
  return {};
}

/// Made by us, not by the engine at a container's start, so that they have our label.
Result<void> WorkloadRunner::makePodVolumes(const WorkloadRecord& workload,
                                            const ContainerRecord& container) {
  for (const std::string& name : podVolumes(workload, container)) {
    TRY_VOID(parts_.engine.createVolume(
        {name,
         {{std::string(kInstanceLabel), parts_.instance}, {std::string(kPodLabel), podName(container)}}}));
  }
  return {};
}

Result<void> WorkloadRunner::removePodVolumes(const WorkloadRecord& workload, int pod) {
  for (const ContainerRecord& c : workload.containers) {
    if (c.pod != pod) continue;
    for (const std::string& name : podVolumes(workload, c)) TRY_VOID(parts_.engine.removeVolume(name));
  }
  return {};
}

/// Where the pod has volumes: they must begin empty, and the containers that still hold them go first.
Result<void> WorkloadRunner::clearPod(const WorkloadRecord& workload, int pod) {
  const auto has_volumes = [&](const ContainerRecord& c) {
    return c.pod == pod && !podVolumes(workload, c).empty();
  };
  if (std::ranges::none_of(workload.containers, has_volumes)) return {};
  for (const ContainerRecord& c : workload.containers) {
    if (c.pod == pod) TRY_VOID(removeLeftover(engineName(c), c.engine_id));
  }
  return removePodVolumes(workload, pod);
}

Result<void> WorkloadRunner::stop(const WorkloadRecord& workload, const StopContainer& step) {
  const ContainerRecord& container = *find(workload, step.name);
  unwatch(container.name);
  if (container.phase == Phase::Starting) {
    TRY_VOID(removeLeftover(engineName(container), container.engine_id));
  } else {
    TRY_VOID(
        parts_.engine.stop(container.engine_id, std::chrono::seconds(workload.spec.termination_grace_s)));
  }
  return record(workload.spec.name.value, step);
}

Result<void> WorkloadRunner::forget(const WorkloadRecord& workload) {
  for (const ContainerRecord& c : workload.containers) {
    if (!c.engine_id.value.empty()) TRY_VOID(parts_.engine.remove(c.engine_id, true));
  }
  for (const ContainerRecord& c : workload.containers) TRY_VOID(removePodVolumes(workload, c.pod));
  const std::string& name = workload.spec.name.value;
  return parts_.desk.change([&](Draft& draft) -> Result<void> {
    draft.book.workloads.erase(name);
    draft.event("workload.deleted", name, "");
    return {};
  });
}

Result<void> WorkloadRunner::removeOrphans() {
  TRY(const auto ours, parts_.engine.list(kInstanceLabel, parts_.instance));
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const container::ContainerStatus& status : ours) {
    const std::string name(labelOf(status.labels, kContainerLabel));
    const auto workload = book->workloads.find(name.substr(0, name.find('/')));
    const ContainerRecord* record =
        workload == book->workloads.end() ? nullptr : find(*workload->second, name);
    if (record != nullptr && (record->engine_id == status.id || record->phase == Phase::Starting)) continue;
    TRY_VOID(parts_.engine.remove(status.id, true));
    TRY_VOID(parts_.desk.change([&](Draft& draft) -> Result<void> {
      draft.event("container.orphan", name, "removed: no workload has it");
      return {};
    }));
  }
  return removeOrphanVolumes();
}

Result<void> WorkloadRunner::removeOrphanVolumes() {
  TRY(const std::vector<container::Volume> ours, parts_.engine.volumes(kInstanceLabel, parts_.instance));
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const container::Volume& volume : ours) {
    const std::string pod(labelOf(volume.labels, kPodLabel));
    if (book->workloads.contains(pod.substr(0, pod.find('/')))) continue;
    TRY_VOID(parts_.engine.removeVolume(volume.name));
    TRY_VOID(parts_.desk.change([&](Draft& draft) -> Result<void> {
      draft.event("volume.orphan", volume.name, "removed: no workload has it");
      return {};
    }));
  }
  return {};
}

void WorkloadRunner::watch(const std::string& workload, const std::string& container, std::int64_t pid) {
  const Result<os::PidFd> process = os::PidFd::open(pid);
  if (!process) {
    parts_.again(workload, parts_.desk.clock().now() + kExitLag);
    return;
  }
  const os::ProcessId id = process->id();
  const bool known = watched_.with([&](auto& all) {
    const bool same = all.contains(container) && all.at(container) == id;
    all[container] = id;
    return same;
  });
  if (known) {
    // It called back already: the engine has not noticed the end yet, and nobody will call again.
    if (process->exited()) parts_.again(workload, parts_.desk.clock().now() + kExitLag);
    return;
  }
  const auto again = parts_.again;
  const auto ended = [again, workload](const os::ProcessId& /*id*/) {
    again(workload, steady_clock::now() + kExitLag);
  };
  if (!parts_.watcher.watch(id, ended)) again(workload, steady_clock::now() + kExitLag);
}

void WorkloadRunner::unwatch(const std::string& container) {
  const auto id = watched_.with([&](auto& all) -> std::optional<os::ProcessId> {
    const auto found = all.find(container);
    if (found == all.end()) return std::nullopt;
    const os::ProcessId known = found->second;
    all.erase(found);
    return known;
  });
  if (id) parts_.watcher.unwatch(*id);
}

}  // namespace berth::service
