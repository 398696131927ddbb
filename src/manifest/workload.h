// What Berth runs, whatever it was written as: Kubernetes Pod, Job and Deployment, IoT Edge modules.
// The parsers in this folder make these from text; service/ turns them into claims and containers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace berth::manifest {

/// Where something stands in the input, for messages: `pods.yaml:12:9 spec.containers[0].env[1].value`.
struct Place {
  std::string file;
  int line = 0;      // From 1; 0: unknown (JSON inside a string).
  int column = 0;    // From 1; 0: unknown (JSON).
  std::string path;  // Dotted path with indices; starts with "documents[1]." past the first YAML document.
  bool operator==(const Place&) const = default;
};
std::string text(const Place& place);

/// Something that was understood but has no effect here, or an unknown field: never dropped silently.
struct Warning {
  Place place;
  std::string message;
  bool operator==(const Warning&) const = default;
};

/// How a container asks for a GPU (A10 to A12, B14, B15). At most one of whole, visible and a share.
struct GpuRequest {
  int whole = 0;              // nvidia.com/gpu
  std::string visible;        // NVIDIA_VISIBLE_DEVICES: one index or UUID, or "all"; empty: none
  Percent thread_percentage;  // CUDA_MPS_ACTIVE_THREAD_PERCENTAGE
  Percent compute;            // berth.dev/gpu-compute, nvidia.com/gpucores
  MiB memory;                 // berth.dev/gpu-memory, nvidia.com/gpumem
  bool best_effort = false;   // berth.dev/enforcement: best-effort (annotation or resource-side label)
  Place place;                // Of what made the request.
  bool any() const { return whole > 0 || !visible.empty() || compute.value > 0 || memory.value > 0; }
  bool operator==(const GpuRequest&) const = default;
};

struct Mount {
  std::string source;  // A path on the host, or a named volume when `volume`.
  std::string target;
  bool read_only = false;
  bool volume = false;
  bool ephemeral =
      false;  // A volume (emptyDir) that is each pod's own: it begins empty and ends with the pod.
  bool operator==(const Mount&) const = default;
};

struct Port {
  int container_port = 0;
  int host_port = 0;  // 0: not published.
  std::string protocol = "tcp";
  bool operator==(const Port&) const = default;
};

struct Container {
  std::string name;
  std::string image;
  std::vector<std::string> command;  // Empty: the image's entrypoint.
  std::vector<std::string> args;     // Empty with an empty command: the image's.
  std::vector<std::pair<std::string, std::string>> env;
  std::string working_dir;
  std::vector<Mount> mounts;
  std::vector<Port> ports;
  std::int64_t memory_limit_bytes = 0;  // 0: none.
  double cpu_limit = 0;                 // Cores; 0: none.
  bool privileged = false;
  std::optional<std::int64_t> run_as_user;
  bool tty = false;
  GpuRequest gpu;
  bool operator==(const Container&) const = default;
};

enum class RestartPolicy : std::uint8_t { Always, OnFailure, Never };
enum class Kind : std::uint8_t { Pod, Job, Deployment, IotEdgeModule };

std::string_view name(Kind kind);             // "Pod", "Job", "Deployment", "Module"
std::string_view name(RestartPolicy policy);  // "Always", "OnFailure", "Never"

struct Workload {
  WorkloadName name;
  Kind kind = Kind::Pod;
  std::string original_name;  // A module's id before it was made a DNS name (appliance.md 6.2).
  std::string name_space = "default";
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<std::pair<std::string, std::string>> annotations;
  RestartPolicy restart = RestartPolicy::Always;
  int replicas = 1;                    // Deployment; IoT Edge: 1, or 0 when its status is stopped.
  int completions = 1;                 // Job
  int parallelism = 1;                 // Job
  int backoff_limit = 6;               // Job: failed pods before the Job has failed.
  std::int64_t active_deadline_s = 0;  // Job and Pod; 0: none.
  std::int64_t termination_grace_s = 30;
  bool host_pid = false;
  bool host_ipc = false;
  bool host_network = false;
  std::vector<Container> containers;
  Place place;
  bool operator==(const Workload&) const = default;
};

struct Manifest {
  std::vector<Workload> workloads;
  std::vector<Warning> warnings;
};

/// Reads one file: YAML of one or more documents, or JSON; an IoT Edge deployment is told by its content
/// (modulesContent, or a $edgeAgent object). All of it or nothing. Errors: InvalidArgument for text that is
/// not what it should be (with file, line, path and cause), Refused with a reason for what is well formed but
/// against a rule (A10, A11, A12, B14). Input past a limit (limits.h) is InvalidArgument with the reason
/// InputTooLarge. `file` is for messages only. Pure; safe from every thread.
Result<Manifest> parse(std::string_view text, std::string_view file);

/// The workload as one JSON object, for the ledger. Pure; safe from every thread.
std::string toJson(const Workload& workload);

/// The workload that toJson() wrote: fromJson(toJson(w)) == w. Fields it does not know (a newer version's)
/// are passed over, missing ones keep their default; a field of another type, or a text that is not such a
/// JSON object, is Corrupt.
Result<Workload> fromJson(std::string_view json);

}  // namespace berth::manifest
