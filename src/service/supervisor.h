// Which containers of a workload run next: the rules of Pod, Job, Deployment and IoT Edge module as a pure
// function.
//
// nextStep() compares what the ledger wants with what was observed and names one step. The runner
// (workload_runner.h) carries it out, records the outcome and asks again, until nothing is left to do.
// Because each step follows from durable records and observations alone, a daemon that was killed anywhere
// goes on by asking again.
//
// A workload has pods, numbered from 0; a Job's pod numbers are slots, each running one completion after
// another. Sources: Kubernetes documentation on Pod lifecycle (restart policy, back-off 10 s doubling to 5
// min, reset after 10 min of running) and Job (backoffLimit, back-off 10 s doubling to 6 min,
// activeDeadlineSeconds).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/types.h"
#include "ledger/state.h"
#include "manifest/workload.h"

namespace berth::service {

using WallTime = std::chrono::system_clock::time_point;

enum class Desired : std::uint8_t { Running, Stopped, Deleted };
enum class Outcome : std::uint8_t { None, Succeeded, Failed };

enum class Phase : std::uint8_t {
  Waiting,   // To be started, not before `not_before`.
  Starting,  // The intent to start is on disk; the engine may or may not have done it.
  Running,
  Exited,  // Ended, with an exit code; the rules say what comes next.
  Done,    // Ended for good, or never to be started; its berths are given back.
};

/// How the GPU was shared when the container was started; a difference from what is in force means it must be
/// started again, since its connection to MPS is to a server that is gone.
struct SharingStamp {
  ledger::Mode mode = ledger::Mode::TimeSlice;
  std::int64_t mps_generation = 0;  // 0: not under MPS.
  bool operator==(const SharingStamp&) const = default;
};

/// No generation has this number: a container with it in its stamp is started again.
inline constexpr std::int64_t kOutdatedGeneration = -1;

/// How a container's GPU is to be shared now, and whether that is in force.
struct Sharing {
  ledger::Mode mode = ledger::Mode::TimeSlice;
  std::optional<std::int64_t>
      generation;             // MPS's, 0 without MPS; nullopt: not ready (MPS starting, GPU lost).
  bool clients_lost = false;  // Every generation of MPS so far has ended, and their clients are in the way.
};

/// The durable row of one container of one pod.
struct ContainerRecord {
  std::string name;  // "<workload>/<pod>/<container>": also its berths' holder.
  int pod = 0;
  int spec = 0;  // Position in Workload::containers.
  Phase phase = Phase::Waiting;
  ContainerId engine_id;     // Empty before the engine made it.
  std::int64_t attempt = 0;  // Starts so far; in the engine's labels, so that leftovers are told apart.
  int restarts = 0;          // Restarts within this pod, as Kubernetes counts them.
  std::optional<int> exit_code;
  bool counted = false;  // Its pod's end is in the Job's succeeded or failed.
  WallTime not_before{};
  WallTime started{};
  WallTime finished{};
  std::optional<SharingStamp> sharing;  // Set while it runs on a GPU.
  std::string message;
  bool operator==(const ContainerRecord&) const = default;
};

struct WorkloadRecord {
  manifest::Workload spec;
  Desired desired = Desired::Running;
  Outcome outcome = Outcome::None;
  int succeeded = 0;  // Pods of a Job.
  int failed = 0;
  std::string message;
  std::string source;  // The file's name, for people.
  WallTime created{};
  std::vector<ContainerRecord> containers;
};

/// What the outside world says about one container now.
struct Seen {
  enum class State : std::uint8_t { Missing, NotRunning, Running };
  State state = State::Missing;
  int exit_code = 0;    // With NotRunning.
  std::string message;  // The engine's words, "out of memory".
};

struct World {
  std::map<std::string, Seen> containers;  // By record name; only those that have an engine id.
  /// For containers with a GPU: how it is to be shared.
  std::map<std::string, Sharing> sharing;
  WallTime now{};
};

struct StartContainer {
  std::string name;
};
/// What becomes of a container after it was stopped.
enum class Afterwards : std::uint8_t {
  Ended,
  Again,   // Back to Waiting: somebody changed how its GPU is shared. It does not count as a restart.
  Failed,  // Its generation of MPS ended by itself and took its contexts along: its restart policy decides.
};

struct StopContainer {
  std::string name;
  Afterwards afterwards = Afterwards::Ended;
};
struct RecordExit {
  std::string name;
  int exit_code = 0;
  std::string message;
};
/// Puts an exited container back in line.
struct Requeue {
  std::string name;
  WallTime not_before{};
  bool new_pod = false;
};
/// A pod of a Job ended; counts it. Its containers are requeued or done by later steps.
struct CountPod {
  int pod = 0;
  bool succeeded = false;
};
struct Finish {
  Outcome outcome = Outcome::None;
  std::string message;
};
/// Its whole pod has ended for good: gives the pod's berths back.
struct MarkDone {
  std::string name;
};
/// Deleted and nothing runs: remove the containers and forget the workload.
struct Forget {};
/// Nothing now; look again at `until` (max(): when something happens).
struct Idle {
  WallTime until = WallTime::max();
};

using Step = std::variant<StartContainer, StopContainer, RecordExit, Requeue, CountPod, Finish, MarkDone,
                          Forget, Idle>;

Step nextStep(const WorkloadRecord& workload, const World& world);

/// The record after a step was carried out at `now` (StartContainer sets Starting and counts the attempt).
/// Finish and Forget change the workload; Idle nothing. Pure.
WorkloadRecord after(WorkloadRecord workload, const Step& step, WallTime now);

/// The containers a new workload starts with: one row per pod and container; a Job has min(parallelism,
/// completions) pods, a Deployment and a module `replicas`.
std::vector<ContainerRecord> initialContainers(const manifest::Workload& workload);

/// "pending", "running", "succeeded", "failed", "stopped", "degraded" (a container waits in back-off),
/// "deleting".
std::string_view stateName(const WorkloadRecord& workload);

/// Waiting time before restart number `restarts` (0: at once).
std::chrono::seconds restartBackoff(int restarts);
/// Waiting time of a Job after its `failed`-th failed pod.
std::chrono::seconds jobBackoff(int failed);

}  // namespace berth::service
