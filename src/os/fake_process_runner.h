// Programs without programs: a script of what each call comes to.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "os/process.h"

namespace berth::os {

/// State of a process that a FakeProcessRunner started or lets be adopted. Tests end it by `alive = false`.
struct FakeProcessState {
  ProcessId id;
  bool alive = true;
  bool dies_of_sigterm = true;
  std::vector<int> signals;
};

class FakeProcess final : public Process {
 public:
  explicit FakeProcess(std::shared_ptr<FakeProcessState> state) : state_(std::move(state)) {}
  const ProcessId& id() const override { return state_->id; }
  bool exited() override { return !state_->alive; }
  Result<void> waitExit(std::chrono::steady_clock::time_point /*deadline*/) override {
    if (!state_->alive) return {};
    return fail(ErrorCode::Timeout, "process " + std::to_string(state_->id.pid) + " has not ended in time");
  }
  Result<void> signal(int number) override {
    state_->signals.push_back(number);
    constexpr int kSigKill = 9;
    constexpr int kSigTerm = 15;
    if (number == kSigKill || (number == kSigTerm && state_->dies_of_sigterm)) state_->alive = false;
    return {};
  }

 private:
  std::shared_ptr<FakeProcessState> state_;
};

/// Refuses whatever was not set up: a run without an answer, a spawn without permission, the adoption of a
/// process that is not there. Records every call. One thread.
class FakeProcessRunner final : public ProcessRunner {
 public:
  using Answer = std::function<Result<ProcessResult>(const ProcessSpec&)>;

  Result<ProcessResult> run(const ProcessSpec& spec,
                            std::chrono::steady_clock::time_point /*deadline*/) override {
    runs.push_back(spec);
    if (!answer) return fail(ErrorCode::Internal, "the test set up no answer for " + spec.argv.front());
    return answer(spec);
  }

  Result<std::unique_ptr<Process>> spawn(const ProcessSpec& spec,
                                         const std::filesystem::path& log_file) override {
    spawns.emplace_back(spec, log_file);
    if (spawn_results.empty()) {
      return fail(ErrorCode::Internal, "the test set up no start of " + spec.argv.front());
    }
    const Result<void> result = spawn_results.front();
    spawn_results.pop_front();
    if (!result) return fail(result.error());
    auto state = std::make_shared<FakeProcessState>();
    state->id = {next_pid++, 1};
    processes[state->id.pid] = state;
    return std::make_unique<FakeProcess>(std::move(state));
  }

  Result<std::unique_ptr<Process>> adopt(const ProcessId& id) override {
    const auto found = processes.find(id.pid);
    if (found == processes.end() || found->second->id != id || !found->second->alive) {
      return fail(ErrorCode::NotFound, "process " + std::to_string(id.pid) + " has ended");
    }
    return std::make_unique<FakeProcess>(found->second);
  }

  Answer answer;                           // What run() comes to.
  std::deque<Result<void>> spawn_results;  // One for each spawn the test allows.
  std::map<std::int64_t, std::shared_ptr<FakeProcessState>> processes;
  std::int64_t next_pid = 1000;
  std::vector<ProcessSpec> runs;
  std::vector<std::pair<ProcessSpec, std::filesystem::path>> spawns;
};

}  // namespace berth::os
