#include "service/supervisor.h"

#include <algorithm>

namespace berth::service {
namespace {

using manifest::Kind;
using manifest::RestartPolicy;
using std::chrono::seconds;

constexpr seconds kFirstBackoff{10};
constexpr seconds kMaxRestartBackoff{300};
constexpr seconds kMaxJobBackoff{360};
constexpr std::chrono::minutes kBackoffReset{10};
constexpr int kMaxDoublings = 6;
constexpr int kVanishedExitCode = 137;  // As for a program that was killed.

seconds doubled(int times, seconds most) {
  return std::min(kFirstBackoff * (1 << std::min(times, kMaxDoublings)), most);
}

bool isActive(const ContainerRecord& c) { return c.phase == Phase::Starting || c.phase == Phase::Running; }

const Seen* seenOf(const World& world, const std::string& name) {
  const auto it = world.containers.find(name);
  return it == world.containers.end() ? nullptr : &it->second;
}

/// The first active container's next step towards not running, or nothing when none is.
std::optional<Step> stopNext(const WorkloadRecord& workload) {
  const auto active = std::ranges::find_if(workload.containers, isActive);
  if (active == workload.containers.end()) return std::nullopt;
  return StopContainer{active->name, Afterwards::Ended};
}

/// Why it cannot go on when it was started under another sharing than its GPU's. A mode that has changed
/// counts at once, since the new one cannot begin before the container is gone; a generation of MPS counts
/// once the next one is there, or cannot start while the last one's clients hold the GPU.
std::optional<Afterwards> outdated(const ContainerRecord& c, const World& world) {
  const auto sharing = world.sharing.find(c.name);
  if (sharing == world.sharing.end() || !c.sharing) return std::nullopt;
  const Sharing& now = sharing->second;
  if (now.mode != c.sharing->mode) return Afterwards::Again;
  if (now.clients_lost && now.mode == ledger::Mode::Mps) return Afterwards::Failed;
  if (!now.generation || *now.generation == c.sharing->mps_generation) return std::nullopt;
  return c.sharing->mps_generation == kOutdatedGeneration ? Afterwards::Again : Afterwards::Failed;
}

/// What a running container needs: its exit recorded, or a restart because its GPU's sharing changed.
std::optional<Step> tendRunning(const ContainerRecord& c, const World& world) {
  const Seen* seen = seenOf(world, c.name);
  if (seen == nullptr) return std::nullopt;
  if (seen->state == Seen::State::NotRunning) return RecordExit{c.name, seen->exit_code, seen->message};
  if (seen->state == Seen::State::Missing) {
    return RecordExit{c.name, kVanishedExitCode, "the engine no longer has this container"};
  }
  const std::optional<Afterwards> afterwards = outdated(c, world);
  return afterwards ? std::optional<Step>(StopContainer{c.name, *afterwards}) : std::nullopt;
}

bool gateOpen(const ContainerRecord& c, const World& world) {
  const auto sharing = world.sharing.find(c.name);
  return sharing == world.sharing.end() || sharing->second.generation.has_value();
}

bool restartsInPlace(const manifest::Workload& spec, const ContainerRecord& c) {
  if (spec.restart == RestartPolicy::Always) return true;
  return spec.restart == RestartPolicy::OnFailure && c.exit_code.value_or(0) != 0;
}

WallTime restartTime(const ContainerRecord& c) {
  const bool ran_long = c.finished - c.started >= kBackoffReset;
  return c.finished + restartBackoff(ran_long ? 0 : c.restarts);
}

std::vector<const ContainerRecord*> podOf(const WorkloadRecord& workload, int pod) {
  std::vector<const ContainerRecord*> containers;
  for (const ContainerRecord& c : workload.containers) {
    if (c.pod == pod) containers.push_back(&c);
  }
  return containers;
}

int podCount(const WorkloadRecord& workload) {
  int pods = 0;
  for (const ContainerRecord& c : workload.containers) pods = std::max(pods, c.pod + 1);
  return pods;
}

bool allIn(const std::vector<const ContainerRecord*>& containers, Phase phase) {
  return std::ranges::all_of(containers, [phase](const ContainerRecord* c) { return c->phase == phase; });
}

bool succeeded(const std::vector<const ContainerRecord*>& pod) {
  return std::ranges::all_of(pod, [](const ContainerRecord* c) { return c->exit_code == 0; });
}

std::string exitText(const std::vector<const ContainerRecord*>& pod) {
  for (const ContainerRecord* c : pod) {
    if (c->exit_code.value_or(0) == 0) continue;
    std::string text = c->name + " exited with status " + std::to_string(*c->exit_code);
    return c->message.empty() ? text : text + ": " + c->message;
  }
  return {};
}

/// Slots of a Job that still have work: those running count for the completions that are left.
bool slotStillNeeded(const WorkloadRecord& workload, int pod) {
  int earlier_unfinished = 0;
  for (int other = 0; other < podCount(workload); ++other) {
    if (other != pod && !allIn(podOf(workload, other), Phase::Exited) &&
        !allIn(podOf(workload, other), Phase::Done)) {
      ++earlier_unfinished;
    }
  }
  return workload.succeeded + earlier_unfinished < workload.spec.completions;
}

/// A pod all of whose containers have exited for good.
std::optional<Step> tendEndedPod(const WorkloadRecord& workload, int pod) {
  const auto containers = podOf(workload, pod);
  if (workload.spec.kind != Kind::Job) {
    const bool good = succeeded(containers);
    return Finish{good ? Outcome::Succeeded : Outcome::Failed, good ? "" : exitText(containers)};
  }
  if (!containers.front()->counted) return CountPod{pod, succeeded(containers)};
  if (workload.succeeded >= workload.spec.completions) return Finish{Outcome::Succeeded, ""};
  if (workload.failed > workload.spec.backoff_limit) {
    return Finish{Outcome::Failed, "BackoffLimitExceeded: " + workload.message};
  }
  if (!slotStillNeeded(workload, pod)) return MarkDone{containers.front()->name};
  const WallTime when =
      workload.failed > 0 ? containers.front()->finished + jobBackoff(workload.failed) : WallTime{};
  return Requeue{containers.front()->name, when, true};
}

bool jobHasRestartedTooOften(const WorkloadRecord& workload, const ContainerRecord& c) {
  return workload.spec.kind == Kind::Job && workload.spec.restart == RestartPolicy::OnFailure &&
         c.restarts >= workload.spec.backoff_limit;
}

std::optional<Step> tendExited(const WorkloadRecord& workload, const ContainerRecord& c) {
  if (c.counted || !restartsInPlace(workload.spec, c)) return std::nullopt;
  if (jobHasRestartedTooOften(workload, c)) {
    return Finish{Outcome::Failed, "BackoffLimitExceeded: " + exitText({&c})};
  }
  return Requeue{c.name, restartTime(c), false};
}

std::optional<Step> deadline(const WorkloadRecord& workload, const World& world) {
  if (workload.spec.active_deadline_s <= 0) return std::nullopt;
  if (world.now < workload.created + seconds(workload.spec.active_deadline_s)) return std::nullopt;
  return Finish{Outcome::Failed, "DeadlineExceeded: it ran longer than activeDeadlineSeconds (" +
                                     std::to_string(workload.spec.active_deadline_s) + ")"};
}

/// Steps for a workload that is to run and has not ended.
Step advance(const WorkloadRecord& workload, const World& world) {
  WallTime wake = WallTime::max();
  if (workload.spec.active_deadline_s > 0) wake = workload.created + seconds(workload.spec.active_deadline_s);
  if (auto step = deadline(workload, world)) return *step;
  for (const ContainerRecord& c : workload.containers) {
    if (c.phase == Phase::Running) {
      if (auto step = tendRunning(c, world)) return *step;
    } else if (c.phase == Phase::Exited) {
      if (auto step = tendExited(workload, c)) return *step;
    } else if (c.phase == Phase::Starting) {
      return StartContainer{c.name};  // A start that was cut off: done again from the top.
    } else if (c.phase == Phase::Waiting) {
      if (world.now < c.not_before) {
        wake = std::min(wake, c.not_before);
      } else if (gateOpen(c, world)) {
        return StartContainer{c.name};
      }
    }
  }
  for (int pod = 0; pod < podCount(workload); ++pod) {
    if (!allIn(podOf(workload, pod), Phase::Exited)) continue;
    if (auto step = tendEndedPod(workload, pod)) return *step;
  }
  return Idle{wake};
}

/// Steps for a workload that is not to run (any more): stop what runs, give back what is held.
std::optional<Step> wind(const WorkloadRecord& workload) {
  if (auto step = stopNext(workload)) return step;
  for (const ContainerRecord& c : workload.containers) {
    if (c.phase != Phase::Done) return MarkDone{c.name};
  }
  return std::nullopt;
}

ContainerRecord* find(WorkloadRecord& workload, const std::string& name) {
  const auto it = std::ranges::find(workload.containers, name, &ContainerRecord::name);
  return it == workload.containers.end() ? nullptr : &*it;
}

struct Apply {
  WorkloadRecord& workload;
  WallTime now;

  void operator()(const StartContainer& step) const {
    ContainerRecord& c = *find(workload, step.name);
    c.phase = Phase::Starting;
    ++c.attempt;
    c.exit_code.reset();
    c.counted = false;
    c.message.clear();
  }
  void operator()(const StopContainer& step) const {
    ContainerRecord& c = *find(workload, step.name);
    c.phase = step.afterwards == Afterwards::Again ? Phase::Waiting : Phase::Exited;
    if (step.afterwards == Afterwards::Failed) {
      c.exit_code = kVanishedExitCode;
      c.message = "the MPS server it was a client of has ended";
    }
    c.not_before = {};
    c.sharing.reset();
    c.finished = now;
  }
  void operator()(const RecordExit& step) const {
    ContainerRecord& c = *find(workload, step.name);
    c.phase = Phase::Exited;
    c.exit_code = step.exit_code;
    // What was said of it while it ran (the audit's finding) explains its end better than nothing.
    if (!step.message.empty()) c.message = step.message;
    c.sharing.reset();
    c.finished = now;
  }
  void operator()(const Requeue& step) const {
    const int pod = find(workload, step.name)->pod;
    for (ContainerRecord& c : workload.containers) {
      const bool meant = step.new_pod ? c.pod == pod : c.name == step.name;
      if (!meant) continue;
      c.phase = Phase::Waiting;
      c.not_before = step.not_before;
      c.restarts = step.new_pod ? 0 : c.restarts + 1;
    }
  }
  void operator()(const CountPod& step) const {
    if (!step.succeeded) workload.message = exitText(podOf(workload, step.pod));
    (step.succeeded ? workload.succeeded : workload.failed) += 1;
    for (ContainerRecord& c : workload.containers) {
      if (c.pod == step.pod) c.counted = true;
    }
  }
  void operator()(const Finish& step) const {
    workload.outcome = step.outcome;
    workload.message = step.message;
  }
  void operator()(const MarkDone& step) const {
    const int pod = find(workload, step.name)->pod;
    for (ContainerRecord& c : workload.containers) {
      if (c.pod == pod) c.phase = Phase::Done;
    }
  }
  void operator()(const Forget& /*step*/) const {}
  void operator()(const Idle& /*step*/) const {}
};

}  // namespace

Step nextStep(const WorkloadRecord& workload, const World& world) {
  if (workload.desired == Desired::Running && workload.outcome == Outcome::None)
    return advance(workload, world);
  if (auto step = wind(workload)) return *step;
  if (workload.desired == Desired::Deleted) return Forget{};
  return Idle{};
}

WorkloadRecord after(WorkloadRecord workload, const Step& step, WallTime now) {
  std::visit(Apply{workload, now}, step);
  return workload;
}

std::vector<ContainerRecord> initialContainers(const manifest::Workload& workload) {
  int pods = 1;
  if (workload.kind == Kind::Job) pods = std::min(workload.parallelism, workload.completions);
  if (workload.kind == Kind::Deployment || workload.kind == Kind::IotEdgeModule) pods = workload.replicas;
  std::vector<ContainerRecord> records;
  for (int pod = 0; pod < pods; ++pod) {
    for (std::size_t spec = 0; spec < workload.containers.size(); ++spec) {
      ContainerRecord record;
      record.name = workload.name.value + "/" + std::to_string(pod) + "/" + workload.containers[spec].name;
      record.pod = pod;
      record.spec = static_cast<int>(spec);
      records.push_back(std::move(record));
    }
  }
  return records;
}

std::string_view stateName(const WorkloadRecord& workload) {
  if (workload.desired == Desired::Deleted) return "deleting";
  if (workload.outcome == Outcome::Succeeded) return "succeeded";
  if (workload.outcome == Outcome::Failed) return "failed";
  if (workload.desired == Desired::Stopped || workload.containers.empty()) return "stopped";
  const auto in_backoff = [](const ContainerRecord& c) {
    return c.phase == Phase::Waiting && c.attempt > 0 && c.not_before > WallTime{};
  };
  if (std::ranges::any_of(workload.containers, in_backoff)) return "degraded";
  const auto runs = [](const ContainerRecord& c) {
    return c.phase == Phase::Running || c.phase == Phase::Done;
  };
  return std::ranges::all_of(workload.containers, runs) ? "running" : "pending";
}

seconds restartBackoff(int restarts) {
  return restarts == 0 ? seconds(0) : doubled(restarts - 1, kMaxRestartBackoff);
}

seconds jobBackoff(int failed) { return failed == 0 ? seconds(0) : doubled(failed - 1, kMaxJobBackoff); }

}  // namespace berth::service
