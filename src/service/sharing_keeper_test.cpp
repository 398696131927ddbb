#include "service/sharing_keeper.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "gpu/fake_driver.h"
#include "os/fake_process_runner.h"
#include "service/service_testing.h"
#include "sharing/mps/mps_testing.h"

namespace berth::service {
namespace {

using ledger::Health;
using sharing::MpsState;
using sharing::testing::FakeControl;

class SharingKeeperTest : public ::testing::Test {
 protected:
  SharingKeeperTest() {
    std::filesystem::create_directory(proc_);
    driver.gpus = {gpu::fakeGpu(0), gpu::fakeGpu(1)};
    runner.answer = [this](const os::ProcessSpec& spec) { return control.answer(spec); };
    control.quit = [this] {
      for (auto& [pid, state] : runner.processes) state->alive = false;
      control.servers.clear();
    };
    restart();
  }

  /// What a restart of the daemon does to the keeper: it knows nothing, and what ran goes on.
  void restart() {
    sharing::MpsConfig config;
    config.driver_root = "/driver";
    config.run_directory = dir_.path();
    config.boot_id = "boot-1";
    keeper.reset();
    guard = std::make_unique<GuardKeeper>(GuardKeeper::Parts{*box.desk, box.engine, driver});
    manager = std::make_unique<sharing::MpsManager>(
        sharing::MpsWorld{config, runner, driver, box.clock, [this](auto by) { box.clock.advance(by); },
                          os::Procfs(proc_)},
        [](const sharing::MpsFault&) {});
    keeper = std::make_unique<SharingKeeper>(SharingKeeper::Parts{*box.desk,
                                                                  *manager,
                                                                  driver,
                                                                  *guard,
                                                                  {},
                                                                  {},
                                                                  [this](const GpuUuid&, auto) { ++retries; },
                                                                  [](const GpuUuid&) {}});
  }
  void allowStart() { runner.spawn_results.emplace_back(); }
  MpsState stateOfMps() const { return manager->status(gpu).state; }
  bool aDaemonLives() const {
    return std::ranges::any_of(runner.processes, [](const auto& each) { return each.second->alive; });
  }
  /// MPS on GPU 0, and a container that uses it.
  void runUnderMps() {
    ASSERT_TRUE(box.service->setMode("0", ledger::Mode::Mps, false, DryRun::No));
    allowStart();
    keeper->tend(gpu);
    ASSERT_TRUE(box.service->apply(testing::job("a", testing::visible("0")), "a.yaml", DryRun::No));
    box.settle();
    ASSERT_EQ(box.stateOf("a"), "running");
  }
  void setHealth(Health health) {
    ASSERT_TRUE(box.desk->change([&](Draft& draft) -> Result<void> {
      ledger::Gpu changed = *ledger::findGpu(draft.book.state, gpu);
      changed.health = health;
      draft.putGpu(changed);
      return {};
    }));
  }
  void loseGpu() {
    driver.gpus = {gpu::fakeGpu(1)};
    setHealth(Health::Lost);
  }
  void bringGpuBack() {
    driver.gpus = {gpu::fakeGpu(0), gpu::fakeGpu(1)};
    setHealth(Health::Ok);
  }

  const GpuUuid gpu = gpu::fakeGpu(0).uuid;
  testing::Box box{2};
  os::FakeProcessRunner runner;
  gpu::FakeGpuDriver driver;
  FakeControl control;
  std::unique_ptr<sharing::MpsManager> manager;
  std::unique_ptr<GuardKeeper> guard;  // Of a box without one.
  std::unique_ptr<SharingKeeper> keeper;
  int retries = 0;

 private:
  ledger::testing::TempDir dir_;
  std::filesystem::path proc_ = std::filesystem::path(dir_.path()) / "proc";
};

TEST_F(SharingKeeperTest, ADaemonLeftByAKilledRunEndsOnceItsLastContainerHasStopped) {
  runUnderMps();
  ASSERT_TRUE(box.service->setMode("0", ledger::Mode::TimeSlice, true, DryRun::No));
  restart();  // Killed right after the wish was recorded.
  keeper->tend(gpu);
  EXPECT_TRUE(aDaemonLives()) << "a container still uses it";
  EXPECT_FALSE(keeper->inForce(gpu).ready);
  box.settle();  // The container is started again without MPS.
  keeper->tend(gpu);
  EXPECT_FALSE(aDaemonLives());
  EXPECT_TRUE(keeper->inForce(gpu).ready);
}

TEST_F(SharingKeeperTest, ClientsOfAnEndedGenerationAreToldWhenTheNextCannotStart) {
  runUnderMps();
  const std::vector<ledger::Berth> berths = box.state().berths;
  EXPECT_EQ(keeper->sharing(box.state(), berths).generation, 1);
  for (auto& [pid, state] : runner.processes) state->alive = false;
  restart();
  EXPECT_FALSE(keeper->sharing(box.state(), berths).clients_lost) << "a daemon may yet be adopted";
  keeper->tend(gpu);  // No start is allowed.
  EXPECT_TRUE(keeper->sharing(box.state(), berths).clients_lost);
  EXPECT_EQ(retries, 1);
  allowStart();
  keeper->tend(gpu);
  EXPECT_FALSE(keeper->sharing(box.state(), berths).clients_lost);
  EXPECT_GT(keeper->sharing(box.state(), berths).generation.value_or(0), 1);
}

TEST_F(SharingKeeperTest, AServersCapIsTheLargestShareOnItsGpu) {
  ledger::State state;
  state.gpus.resize(1);
  state.gpus[0].uuid = gpu;
  EXPECT_EQ(largestShare(state, gpu), Percent{100});
  const auto grant = [&](Percent compute, Percent by_environment) {
    ledger::Berth berth;
    berth.gpu = gpu;
    berth.compute = compute;
    berth.thread_percentage = by_environment;
    state.berths.push_back(berth);
  };
  grant(Percent{20}, {});
  EXPECT_EQ(largestShare(state, gpu), Percent{20});
  grant({}, Percent{35});
  EXPECT_EQ(largestShare(state, gpu), Percent{35});
  grant({}, {});
  EXPECT_EQ(largestShare(state, gpu), Percent{100});
}

TEST_F(SharingKeeperTest, NothingIsInForceBeforeTheFirstLook) {
  EXPECT_FALSE(keeper->inForce(gpu).ready);
  keeper->tend(gpu);
  EXPECT_TRUE(keeper->inForce(gpu).ready);
}

TEST_F(SharingKeeperTest, TheDaemonOfALostGpuEndsForGoodAndItsModeStays) {
  runUnderMps();
  loseGpu();
  keeper->tend(gpu);
  EXPECT_FALSE(aDaemonLives());
  EXPECT_EQ(stateOfMps(), MpsState::Off);
  EXPECT_EQ(retries, 0);
  EXPECT_EQ(ledger::findGpu(box.desk->book()->state, gpu)->mode, ledger::Mode::Mps);
}

TEST_F(SharingKeeperTest, AGpuThatComesBackIsUnderMpsAgain) {
  runUnderMps();
  loseGpu();
  keeper->tend(gpu);
  bringGpuBack();
  allowStart();
  keeper->tend(gpu);
  EXPECT_EQ(stateOfMps(), MpsState::Running);
  EXPECT_EQ(manager->status(gpu).generation, 2);
}

TEST_F(SharingKeeperTest, AGpuThatComesBackWithoutMpsGetsItsComputeModeBack) {
  driver.compute_modes[gpu] = gpu::ComputeMode::ExclusiveProcess;  // Left from MPS when it was lost.
  loseGpu();
  keeper->tend(gpu);
  bringGpuBack();
  EXPECT_FALSE(keeper->inForce(gpu).ready);
  keeper->tend(gpu);
  EXPECT_EQ(driver.compute_modes[gpu], gpu::ComputeMode::Default);
  EXPECT_TRUE(keeper->inForce(gpu).ready);
}

TEST_F(SharingKeeperTest, AFaultNamesTheClientsOfItsGenerationAndThoseItHasEnded) {
  runUnderMps();
  for (const char* name : {"b", "c"}) {
    ASSERT_TRUE(box.service->apply(testing::job(name, testing::visible("0")), "f.yaml", DryRun::No));
  }
  box.settle();
  ASSERT_TRUE(box.service->stopWorkload("c", DryRun::No));
  box.settle();
  box.engine.exitContainer(*box.engine.idOf("berth-b-0-c"), 1);
  box.runner->tend("b");
  keeper->noteFault({gpu, 1, "a client's fatal fault", {}});
  const std::vector<Event> events = box.desk->events(0, 1000).value();
  const auto fault = std::ranges::find(events, "mps.fault", &Event::kind);
  ASSERT_NE(fault, events.end());
  EXPECT_TRUE(fault->message.ends_with("hit: a/0/c, b/0/c")) << fault->message;
}

}  // namespace
}  // namespace berth::service
