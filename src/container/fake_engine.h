// An Engine in memory, for tests of what uses one. It keeps state, records calls, fails on request and
// refuses what the test did not set up. Safe from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "base/guarded.h"
#include "container/engine.h"

namespace berth::container {

/// Calls that can be made to fail.
enum class EngineCall : std::uint8_t {
  Version,
  ImageId,
  Create,
  Start,
  Inspect,
  List,
  Stop,
  Remove,
  CreateVolume,
  RemoveVolume,
  Logs
};

/// A running container's process is the test itself, so that who looks at it sees one that lives.
class FakeEngine final : public Engine {
 public:
  /// An image that create() takes; all others are NotFound.
  void addImage(std::string name);
  /// The next call of that kind fails with `error` and does nothing. Several for one kind fail in order.
  void failNext(EngineCall call, Error error);
  /// While set, every call is Unavailable.
  void setUnavailable(bool unavailable);
  /// A running container ends on its own. Ends the test process when it does not run: the test is wrong.
  void exitContainer(const ContainerId& id, int exit_code, bool oom_killed = false);
  /// A running container's process is this one from now on.
  void setProcess(const ContainerId& id, std::int64_t pid);
  /// What is started from now on has this process.
  void startAs(std::int64_t pid);
  /// Output of a container, for logs().
  void addLog(const ContainerId& id, bool is_stderr, std::string text);
  /// The container is gone, as if someone had removed it behind our back.
  void forget(const ContainerId& id);

  /// "create web", "start c-1", "stop c-1 grace=30", "remove c-1 force" in the order they came, failed ones
  /// too. Reading calls (version, inspect, list, logs) are not recorded.
  std::vector<std::string> calls() const;
  /// The configuration a container was created with. NotFound: none of that name.
  Result<ContainerConfig> configOf(std::string_view name) const;
  /// NotFound: none of that name.
  Result<ContainerId> idOf(std::string_view name) const;
  std::size_t containerCount() const;
  std::vector<std::string> volumeNames() const;

  Result<std::string> version() override;
  Result<std::string> imageId(std::string_view name) override;
  Result<ContainerId> create(const ContainerConfig& config) override;
  Result<void> start(const ContainerId& id) override;
  Result<ContainerStatus> inspect(const ContainerId& id) override;
  Result<std::vector<ContainerStatus>> list(std::string_view label_key,
                                            std::string_view label_value) override;
  /// A stopped container has exit code 143, as a program without a handler for SIGTERM.
  Result<void> stop(const ContainerId& id, std::chrono::seconds grace) override;
  Result<void> remove(const ContainerId& id, bool force) override;
  Result<void> createVolume(const Volume& volume) override;
  Result<std::vector<Volume>> volumes(std::string_view label_key, std::string_view label_value) override;
  Result<void> removeVolume(const std::string& name) override;
  /// What was added so far; `follow` does not wait for more.
  Result<void> logs(const ContainerId& id, const LogOptions& options, const LogSink& sink) override;

 private:
  struct LogPiece {
    bool is_stderr = false;
    std::string text;
  };
  struct Container {
    ContainerConfig config;
    ContainerStatus status;
    std::vector<LogPiece> log;
  };
  struct State {
    std::set<std::string> images;
    std::map<ContainerId, Container> containers;
    std::map<std::string, Volume> volumes;
    std::map<EngineCall, std::vector<Error>> failures;
    std::vector<std::string> calls;
    bool unavailable = false;
    int made = 0;
    std::int64_t next_pid = ::getpid();
    std::int64_t ticks = 0;  // Time, one second for each start and end.
  };

  static Result<void> admit(State& state, EngineCall call);
  static Result<Container*> find(State& state, const ContainerId& id);
  static void end(State& state, Container& container, int exit_code, bool oom_killed);

  Guarded<State> state_;
};

}  // namespace berth::container
