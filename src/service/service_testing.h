// A whole service without a machine: the real ledger in a temporary folder, the real desk, arbiter and
// runner, a container engine in memory and GPUs that are whatever the test says.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "container/fake_engine.h"
#include "ledger/ledger.h"
#include "ledger/ledger_testing.h"
#include "os/pidfd.h"
#include "service/conductor.h"
#include "service/service.h"
#include "service/workload_runner.h"

namespace berth::service::testing {

/// Sharing is in force at once, unless the test holds it back.
class FakeGpus final : public GpuAccess {
 public:
  Sharing sharing(const ledger::State& state, const std::vector<ledger::Berth>& berths) override {
    const ledger::Mode mode = ledger::findGpu(state, berths.front().gpu)->mode;
    if (held_back) return {mode, std::nullopt};
    return {mode, mode == ledger::Mode::Mps ? 1 : 0};
  }
  Result<container::GpuEdits> edits(const ledger::State& /*state*/, const std::vector<ledger::Berth>& berths,
                                    bool /*host_ipc*/) override {
    container::GpuEdits edits;
    edits.env.emplace_back("NVIDIA_VISIBLE_DEVICES", berths.front().gpu.value);
    return edits;
  }
  Result<void> verify(std::int64_t /*pid*/, const container::GpuEdits& /*edits*/) override {
    if (verifies) return {};
    return fail(Error{ErrorCode::Io,
                      "the container runs without all of its GPU's files",
                      "GpuEditsMissing",
                      {{"/lib/libcuda.so.1", "is not /host/libcuda.so.1", ""}}});
  }

  bool held_back = false;
  bool verifies = true;
};

class Box {
 public:
  explicit Box(int gpu_count, arbiter::Arbitration arbitration = arbiter::Arbitration::Appliance,
               arbiter::Capabilities capabilities = {})
      : policy_{arbitration, capabilities, arbiter::Policy{}.mps_client_limit} {
    boot();
    engine.addImage("image");
    const Result<void> fitted = desk->change([&](Draft& draft) -> Result<void> {
      for (int i = 0; i < gpu_count; ++i) {
        ledger::Gpu gpu;
        gpu.uuid = GpuUuid("GPU-0000000" + std::to_string(i));
        gpu.pci = PciAddress("0000:0" + std::to_string(i) + ":00.0");
        gpu.index = i;
        gpu.name = "Tesla T4";
        gpu.memory = MiB{15360};
        draft.putGpu(gpu);
      }
      return {};
    });
    EXPECT_TRUE(fitted);
  }

  Box(const Box&) = delete;
  Box& operator=(const Box&) = delete;
  ~Box() { takeDown(); }

  /// What a restart of the daemon does: everything in memory is gone, the ledger and the engine are not.
  void boot() {
    takeDown();
    ledger_ = std::move(ledger::Ledger::open(dir_.path())).value();
    desk = std::move(Desk::open(*ledger_, clock, policy_)).value();
    watcher_ = std::move(os::ProcessWatcher::create()).value();
    runner = std::make_unique<WorkloadRunner>(WorkloadRunner::Parts{
        *desk, engine, *watcher_, gpus, [this](const std::string&, auto) { ++asked_again; }, "test"});
    service = std::make_unique<Service>(*desk, engine);
  }

  /// Lets the world follow: workloads are tended and operations concluded until nothing changes.
  void settle() {
    for (int round = 0; round < 50; ++round) {
      const auto before = desk->book();
      for (const auto& [name, workload] : before->workloads) runner->tend(name);
      const auto tended = desk->book();
      for (const auto& [id, operation] : tended->operations) conduct(id);
      if (desk->book() == before) return checkIndex();
    }
    ADD_FAILURE() << "the world does not come to rest";
  }

  /// The index beside the state says what one made anew says.
  void checkIndex() const {
    const auto book = desk->book();
    EXPECT_EQ(book->occupancy, arbiter::Occupancy(book->state));
  }

  ledger::State state() const { return desk->book()->state; }
  std::string stateOf(const std::string& workload) const {
    const auto book = desk->book();
    const auto found = book->workloads.find(workload);
    return found == book->workloads.end() ? "gone" : std::string(stateName(*found->second));
  }
  Operation operation(const Accepted& accepted) const {
    return *desk->book()->operations.at(accepted.operation);
  }
  std::string owners() const {
    std::string text;
    const auto book = desk->book();
    for (const ledger::Gpu& gpu : book->state.gpus) {
      text += (text.empty() ? "" : ",") + std::string(ledger::name(gpu.owner.kind));
    }
    return text;
  }

  FakeClock clock;
  container::FakeEngine engine;
  FakeGpus gpus;
  std::atomic<int> asked_again = 0;  // How often the runner asked for another look.
  std::unique_ptr<Desk> desk;
  std::unique_ptr<WorkloadRunner> runner;
  std::unique_ptr<Service> service;

 private:
  /// Last made, first ended, as the daemon does.
  void takeDown() {
    service.reset();
    runner.reset();
    watcher_.reset();
    desk.reset();
    ledger_.reset();
  }

  void conduct(const std::string& id) {
    const auto book = desk->book();
    const Operation& operation = *book->operations.at(id);
    if (operation.state != Operation::State::Running) return;
    const Progress progress = progressOf(operation, *book, [&](const GpuUuid&) {
      return SharingInForce{false, !gpus.held_back, "held back"};
    });
    if (progress.state == Progress::State::Running && progress.percent == operation.percent &&
        progress.message == operation.message) {
      return;
    }
    EXPECT_TRUE(desk->change([&](Draft& draft) -> Result<void> {
      conclude(draft, id, progress);
      return {};
    }));
  }

  const arbiter::Policy policy_;
  ledger::testing::TempDir dir_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<os::ProcessWatcher> watcher_;
};

/// A Job named `name` whose container has `env` and `limits` (YAML, one line each).
inline std::string job(const std::string& name, const std::string& env, const std::string& limits = "") {
  std::string text = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: " + name +
                     "}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n"
                     "        - name: c\n          image: image\n";
  if (!env.empty()) text += "          env: [" + env + "]\n";
  if (!limits.empty()) text += "          resources: {limits: {" + limits + "}}\n";
  return text;
}

inline std::string visible(const std::string& gpu) {
  return "{name: NVIDIA_VISIBLE_DEVICES, value: \"" + gpu + "\"}";
}

}  // namespace berth::service::testing
