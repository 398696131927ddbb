// The container engine as Berth uses it: Podman's service by default, Docker as well (design 7).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace berth::container {

struct Bind {
  std::string source;  // Host path, or a named volume when `volume`.
  std::string target;
  bool read_only = false;
  bool volume = false;
  bool operator==(const Bind&) const = default;
};

struct PublishedPort {
  int container_port = 0;
  int host_port = 0;
  std::string protocol = "tcp";
};

struct ContainerConfig {
  std::string name;
  std::string image;
  std::vector<std::string> entrypoint;  // Empty: the image's.
  std::vector<std::string> command;     // Empty with an empty entrypoint: the image's.
  std::vector<std::pair<std::string, std::string>> env;
  std::string working_dir;
  std::vector<Bind> binds;
  std::vector<std::string> devices;  // Device nodes, the same path inside.
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<PublishedPort> ports;
  bool host_pid = false;
  bool host_ipc = false;
  bool host_network = false;
  bool privileged = false;
  bool tty = false;
  std::string user;                     // "1000", or empty for the image's.
  std::int64_t memory_limit_bytes = 0;  // 0: none.
  double cpu_limit = 0;                 // Cores; 0: none.
};

enum class ContainerState : std::uint8_t { Created, Running, Exited, Other };

struct ContainerStatus {
  ContainerId id;
  std::string name;
  ContainerState state = ContainerState::Other;
  std::int64_t pid = 0;  // Of its first process, on the host; 0 when it does not run.
  int exit_code = 0;
  bool oom_killed = false;
  std::string error;  // The engine's own words when a start failed.
  std::vector<std::pair<std::string, std::string>> labels;
  std::chrono::system_clock::time_point started;
  std::chrono::system_clock::time_point finished;
};

/// A volume that the engine keeps, apart from any container.
struct Volume {
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  bool operator==(const Volume&) const = default;
};

struct LogOptions {
  bool follow = false;
  std::optional<int> tail;  // Last lines; nullopt: all.
  bool timestamps = false;
  std::stop_token stop;  // Ends the reading at once, silent container or not; that is a success.
};

/// Gets a piece of output; false ends the reading.
using LogSink = std::function<bool(bool is_stderr, std::string_view bytes)>;

/// Every call blocks up to its deadline (worker pool only, never the event loop) and may be made from several
/// threads. Unavailable: the engine does not answer. NotFound: no such container or image.
class Engine {
 public:
  virtual ~Engine() = default;

  /// Name and version, "podman 4.3.1".
  virtual Result<std::string> version() = 0;
  /// NotFound when no local image answers to `name`.
  virtual Result<std::string> imageId(std::string_view name) = 0;
  /// Conflict: the name is taken.
  virtual Result<ContainerId> create(const ContainerConfig& config) = 0;
  virtual Result<void> start(const ContainerId& id) = 0;
  virtual Result<ContainerStatus> inspect(const ContainerId& id) = 0;
  /// All containers with this label, running or not.
  virtual Result<std::vector<ContainerStatus>> list(std::string_view label_key,
                                                    std::string_view label_value) = 0;
  /// SIGTERM, then SIGKILL after `grace`. Succeeds when it does not run.
  virtual Result<void> stop(const ContainerId& id, std::chrono::seconds grace) = 0;
  /// Removes it, killing it first when `force`. Succeeds when there is none.
  virtual Result<void> remove(const ContainerId& id, bool force) = 0;
  /// Makes an empty volume; one of that name that is there already stays as it is.
  virtual Result<void> createVolume(const Volume& volume) = 0;
  /// All volumes with this label.
  virtual Result<std::vector<Volume>> volumes(std::string_view label_key, std::string_view label_value) = 0;
  /// Removes it with what is in it. Succeeds when there is none. Conflict: a container has it.
  virtual Result<void> removeVolume(const std::string& name) = 0;
  virtual Result<void> logs(const ContainerId& id, const LogOptions& options, const LogSink& sink) = 0;
};

}  // namespace berth::container
