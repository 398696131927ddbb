#include "container/fake_engine.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <unistd.h>

namespace berth::container {

namespace {

constexpr int kExitOfSigterm = 128 + 15;

std::chrono::system_clock::time_point timeOf(std::int64_t ticks) {
  return std::chrono::system_clock::time_point(std::chrono::hours(24 * 365 * 50) +
                                               std::chrono::seconds(ticks));
}

}  // namespace

void FakeEngine::addImage(std::string name) {
  state_.with([&](State& state) { state.images.insert(std::move(name)); });
}

void FakeEngine::failNext(EngineCall call, Error error) {
  state_.with([&](State& state) { state.failures[call].push_back(std::move(error)); });
}

void FakeEngine::setUnavailable(bool unavailable) {
  state_.with([&](State& state) { state.unavailable = unavailable; });
}

void FakeEngine::exitContainer(const ContainerId& id, int exit_code, bool oom_killed) {
  state_.with([&](State& state) {
    const auto container = find(state, id);
    if (!container || (*container)->status.state != ContainerState::Running) std::abort();
    end(state, **container, exit_code, oom_killed);
  });
}

void FakeEngine::setProcess(const ContainerId& id, std::int64_t pid) {
  state_.with([&](State& state) {
    const auto container = find(state, id);
    if (!container || (*container)->status.state != ContainerState::Running) std::abort();
    (*container)->status.pid = pid;
  });
}

void FakeEngine::startAs(std::int64_t pid) {
  state_.with([&](State& state) { state.next_pid = pid; });
}

void FakeEngine::addLog(const ContainerId& id, bool is_stderr, std::string text) {
  state_.with([&](State& state) {
    const auto container = find(state, id);
    if (!container) std::abort();
    (*container)->log.push_back({is_stderr, std::move(text)});
  });
}

void FakeEngine::forget(const ContainerId& id) {
  state_.with([&](State& state) { state.containers.erase(id); });
}

std::vector<std::string> FakeEngine::calls() const {
  return state_.with([](const State& state) { return state.calls; });
}

Result<ContainerConfig> FakeEngine::configOf(std::string_view name) const {
  return state_.with([&](const State& state) -> Result<ContainerConfig> {
    for (const auto& [id, container] : state.containers) {
      if (container.config.name == name) return container.config;
    }
    return fail(ErrorCode::NotFound, "no container '" + std::string(name) + "'");
  });
}

Result<ContainerId> FakeEngine::idOf(std::string_view name) const {
  return state_.with([&](const State& state) -> Result<ContainerId> {
    for (const auto& [id, container] : state.containers) {
      if (container.config.name == name) return id;
    }
    return fail(ErrorCode::NotFound, "no container '" + std::string(name) + "'");
  });
}

std::size_t FakeEngine::containerCount() const {
  return state_.with([](const State& state) { return state.containers.size(); });
}

std::vector<std::string> FakeEngine::volumeNames() const {
  return state_.with([](const State& state) {
    std::vector<std::string> names;
    for (const auto& [name, volume] : state.volumes) names.push_back(name);
    return names;
  });
}

Result<void> FakeEngine::admit(State& state, EngineCall call) {
  if (state.unavailable) return fail(ErrorCode::Unavailable, "the fake engine does not answer");
  auto& errors = state.failures[call];
  if (errors.empty()) return {};
  Error error = std::move(errors.front());
  errors.erase(errors.begin());
  return fail(std::move(error));
}

Result<FakeEngine::Container*> FakeEngine::find(State& state, const ContainerId& id) {
  const auto found = state.containers.find(id);
  if (found == state.containers.end()) return fail(ErrorCode::NotFound, "no container " + id.value);
  return &found->second;
}

void FakeEngine::end(State& state, Container& container, int exit_code, bool oom_killed) {
  container.status.state = ContainerState::Exited;
  container.status.pid = 0;
  container.status.exit_code = exit_code;
  container.status.oom_killed = oom_killed;
  container.status.finished = timeOf(++state.ticks);
}

Result<std::string> FakeEngine::version() {
  return state_.with([](State& state) -> Result<std::string> {
    TRY_VOID(admit(state, EngineCall::Version));
    return std::string("fake 1.0");
  });
}

Result<std::string> FakeEngine::imageId(std::string_view name) {
  return state_.with([&](State& state) -> Result<std::string> {
    TRY_VOID(admit(state, EngineCall::ImageId));
    if (state.images.contains(std::string(name))) return "sha256:" + std::string(name);
    return fail(ErrorCode::NotFound, "image '" + std::string(name) + "' is not on this device");
  });
}

Result<ContainerId> FakeEngine::create(const ContainerConfig& config) {
  return state_.with([&](State& state) -> Result<ContainerId> {
    state.calls.push_back("create " + config.name);
    TRY_VOID(admit(state, EngineCall::Create));
    if (!state.images.contains(config.image)) {
      return fail(ErrorCode::NotFound, "image '" + config.image + "' is not on this device");
    }
    for (const auto& [id, container] : state.containers) {
      if (container.config.name == config.name) {
        return fail(ErrorCode::Conflict, "the container name '" + config.name + "' is already in use");
      }
    }
    Container container{config, {}, {}};
    container.status.id = ContainerId("c-" + std::to_string(++state.made));
    container.status.name = config.name;
    container.status.state = ContainerState::Created;
    container.status.labels = config.labels;
    ContainerId id = container.status.id;
    state.containers.emplace(id, std::move(container));
    return id;
  });
}

Result<void> FakeEngine::start(const ContainerId& id) {
  return state_.with([&](State& state) -> Result<void> {
    state.calls.push_back("start " + id.value);
    TRY_VOID(admit(state, EngineCall::Start));
    TRY(Container * container, find(state, id));
    if (container->status.state == ContainerState::Running) return {};
    container->status.state = ContainerState::Running;
    container->status.started = timeOf(++state.ticks);
    container->status.pid = state.next_pid;
    return {};
  });
}

Result<ContainerStatus> FakeEngine::inspect(const ContainerId& id) {
  return state_.with([&](State& state) -> Result<ContainerStatus> {
    TRY_VOID(admit(state, EngineCall::Inspect));
    TRY(const Container* container, find(state, id));
    return container->status;
  });
}

Result<std::vector<ContainerStatus>> FakeEngine::list(std::string_view label_key,
                                                      std::string_view label_value) {
  return state_.with([&](State& state) -> Result<std::vector<ContainerStatus>> {
    TRY_VOID(admit(state, EngineCall::List));
    const std::pair<std::string, std::string> wanted{label_key, label_value};
    std::vector<ContainerStatus> found;
    for (const auto& [id, container] : state.containers) {
      const auto& labels = container.status.labels;
      if (std::find(labels.begin(), labels.end(), wanted) != labels.end()) found.push_back(container.status);
    }
    return found;
  });
}

Result<void> FakeEngine::stop(const ContainerId& id, std::chrono::seconds grace) {
  return state_.with([&](State& state) -> Result<void> {
    state.calls.push_back("stop " + id.value + " grace=" + std::to_string(grace.count()));
    TRY_VOID(admit(state, EngineCall::Stop));
    TRY(Container * container, find(state, id));
    if (container->status.state == ContainerState::Running) end(state, *container, kExitOfSigterm, false);
    return {};
  });
}

Result<void> FakeEngine::remove(const ContainerId& id, bool force) {
  return state_.with([&](State& state) -> Result<void> {
    state.calls.push_back("remove " + id.value + (force ? " force" : ""));
    TRY_VOID(admit(state, EngineCall::Remove));
    const auto found = state.containers.find(id);
    if (found == state.containers.end()) return {};
    if (found->second.status.state == ContainerState::Running && !force) {
      return fail(ErrorCode::Conflict, "container " + id.value + " is running");
    }
    state.containers.erase(found);
    return {};
  });
}

Result<void> FakeEngine::createVolume(const Volume& volume) {
  return state_.with([&](State& state) -> Result<void> {
    state.calls.push_back("create volume " + volume.name);
    TRY_VOID(admit(state, EngineCall::CreateVolume));
    state.volumes.emplace(volume.name, volume);
    return {};
  });
}

Result<std::vector<Volume>> FakeEngine::volumes(std::string_view label_key, std::string_view label_value) {
  return state_.with([&](State& state) -> Result<std::vector<Volume>> {
    TRY_VOID(admit(state, EngineCall::List));
    const std::pair<std::string, std::string> wanted{label_key, label_value};
    std::vector<Volume> found;
    for (const auto& [name, volume] : state.volumes) {
      if (std::ranges::find(volume.labels, wanted) != volume.labels.end()) found.push_back(volume);
    }
    return found;
  });
}

Result<void> FakeEngine::removeVolume(const std::string& name) {
  return state_.with([&](State& state) -> Result<void> {
    state.calls.push_back("remove volume " + name);
    TRY_VOID(admit(state, EngineCall::RemoveVolume));
    for (const auto& [id, container] : state.containers) {
      const auto has = [&](const Bind& bind) { return bind.volume && bind.source == name; };
      if (std::ranges::any_of(container.config.binds, has)) {
        return fail(ErrorCode::Conflict, "volume " + name + " is in use by container " + id.value);
      }
    }
    state.volumes.erase(name);
    return {};
  });
}

Result<void> FakeEngine::logs(const ContainerId& id, const LogOptions& options, const LogSink& sink) {
  // The sink is the caller's code: it runs without the lock.
  TRY(const auto log, state_.with([&](State& state) -> Result<std::vector<LogPiece>> {
    TRY_VOID(admit(state, EngineCall::Logs));
    TRY(const Container* container, find(state, id));
    return container->log;
  }));
  const auto wanted = options.tail ? static_cast<std::size_t>(std::max(*options.tail, 0)) : log.size();
  for (std::size_t i = log.size() - std::min(wanted, log.size()); i < log.size(); ++i) {
    if (options.stop.stop_requested() || !sink(log[i].is_stderr, log[i].text)) return {};
  }
  return {};
}

}  // namespace berth::container
