#include "sharing/mps/mps_manager.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/fake_driver.h"
#include "os/fake_process_runner.h"
#include "os/files.h"
#include "sharing/mps/mps_testing.h"

namespace berth::sharing {
namespace {

namespace fs = std::filesystem;
using gpu::ComputeMode;
using testing::FakeControl;
using testing::kServer;
using Pids = std::vector<std::int64_t>;

class MpsManagerTest : public ::testing::Test {
 protected:
  MpsManagerTest() {
    std::string pattern = "/tmp/berth-mps-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    proc_ = folder_ / "proc";
    fs::create_directories(proc_);
    driver.gpus = {gpu::fakeGpu(1), gpu::fakeGpu(2)};
    runner.answer = [this](const os::ProcessSpec& spec) { return control.answer(spec); };
    control.quit = [this] { endDaemons(); };
    restartBerth();
  }
  ~MpsManagerTest() override { fs::remove_all(folder_); }

  /// A new manager over the world as it is, as after a restart of the daemon.
  void restartBerth(const std::string& boot_id = "boot-1") {
    MpsConfig config;
    config.driver_root = "/driver";
    config.run_directory = folder_;
    config.boot_id = boot_id;
    manager = std::make_unique<MpsManager>(
        MpsWorld{config, runner, driver, clock, [this](auto by) { clock.advance(by); }, os::Procfs(proc_)},
        [this](const MpsFault& fault) { faults.push_back(fault); });
  }
  /// A process as /proc shows it, which may be ended: what a run of Berth left that was killed before it
  /// could note it.
  os::FakeProcessState& leave(const std::string& program, const GpuUuid& of, const std::string& generation) {
    auto state = std::make_shared<os::FakeProcessState>();
    state->id = {runner.next_pid++, 1};
    runner.processes[state->id.pid] = state;
    const std::string pid = std::to_string(state->id.pid);
    fs::create_directories(proc_ / pid);
    fs::create_symlink("/driver/bin/" + program, proc_ / pid / "exe");
    std::ofstream(proc_ / pid / "stat")
        << pid << " (nvidia-cuda-mps) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0\n";
    std::ofstream(proc_ / pid / "environ")
        << "PATH=/bin" << '\0'
        << "CUDA_MPS_PIPE_DIRECTORY=" << (folder_ / "mps" / of.value / generation / "pipe").string() << '\0';
    return *state;
  }
  void allowStarts(int count) {
    for (int i = 0; i < count; ++i) runner.spawn_results.emplace_back();
  }
  void endDaemons() {
    for (auto& [pid, state] : runner.processes) state->alive = false;
    control.servers.clear();
  }
  os::FakeProcessState& process(const MpsStatus& status) { return *runner.processes.at(status.pid); }
  MpsStatus startRunning() {
    allowStarts(1);
    const auto started = manager->start(gpu1);
    EXPECT_TRUE(started) << started.error().message;
    return *started;
  }
  static std::optional<std::string> envOf(const os::ProcessSpec& spec, const std::string& variable) {
    for (const auto& [key, value] : spec.env) {
      if (key == variable) return value;
    }
    return std::nullopt;
  }
  bool generationExists(std::int64_t number) const {
    return fs::exists(folder_ / "mps" / gpu1.value / std::to_string(number));
  }

  const GpuUuid gpu1 = gpu::fakeGpu(1).uuid;
  const GpuUuid gpu2 = gpu::fakeGpu(2).uuid;
  fs::path folder_;
  fs::path proc_;
  os::FakeProcessRunner runner;
  gpu::FakeGpuDriver driver;
  FakeClock clock;
  FakeControl control;
  std::vector<MpsFault> faults;
  std::unique_ptr<MpsManager> manager;
};

TEST_F(MpsManagerTest, B16StartingServesOneGpuByItsUuidAndHoldsItBeforeAnybodyElseCan) {
  const MpsStatus status = startRunning();
  EXPECT_EQ(status.state, MpsState::Running);
  EXPECT_EQ(status.generation, 1);
  EXPECT_EQ(driver.compute_modes[gpu1], ComputeMode::ExclusiveProcess);
  EXPECT_EQ(driver.compute_modes[gpu2], ComputeMode::Default);
  ASSERT_EQ(runner.spawns.size(), 1U);
  const os::ProcessSpec& spec = runner.spawns[0].first;
  EXPECT_EQ(spec.argv, (std::vector<std::string>{"/driver/bin/nvidia-cuda-mps-control", "-f"}));
  EXPECT_EQ(envOf(spec, "CUDA_VISIBLE_DEVICES"), gpu1.value);
  EXPECT_EQ(envOf(spec, "CUDA_MPS_PIPE_DIRECTORY"), status.pipe_directory.string());
  EXPECT_TRUE(fs::is_directory(status.pipe_directory));
  EXPECT_NE(std::ranges::find(control.asked, "start_server -uid 0"), control.asked.end());
}

TEST_F(MpsManagerTest, StartingTwiceChangesNothing) {
  const MpsStatus first = startRunning();
  const auto second = manager->start(gpu1);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->pid, first.pid);
  EXPECT_EQ(runner.spawns.size(), 1U);
}

TEST_F(MpsManagerTest, LimitsAreSetBeforeTheServerStartsAndNeverClaimedForALiveOne) {
  allowStarts(1);
  ASSERT_TRUE(manager->start(gpu1, {Percent{50}, MiB{4096}}));
  const auto at = [&](const std::string& command) { return std::ranges::find(control.asked, command); };
  EXPECT_LT(at("set_default_active_thread_percentage 50"), at("start_server -uid 0"));
  EXPECT_LT(at("set_default_device_pinned_mem_limit " + gpu1.value + " 4096M"), at("start_server -uid 0"));
  EXPECT_EQ(manager->start(gpu1, {Percent{60}, MiB{4096}}).error().code, ErrorCode::Conflict);
  EXPECT_EQ(manager->status(gpu1).limits, (MpsLimits{Percent{50}, MiB{4096}}));
}

TEST_F(MpsManagerTest, NewClientsAreCappedByTheServerAndByTheOneThatFollowsIt) {
  startRunning();
  ASSERT_TRUE(manager->capNewClients(gpu1, Percent{50}));
  const auto asked = [&](const std::string& command) { return std::ranges::count(control.asked, command); };
  EXPECT_EQ(asked("set_active_thread_percentage 500 50"), 1);
  EXPECT_EQ(asked("set_default_active_thread_percentage 50"), 1);
  ASSERT_TRUE(manager->capNewClients(gpu1, Percent{50}));
  EXPECT_EQ(asked("set_active_thread_percentage 500 50"), 1) << "it is that already";
  EXPECT_EQ(manager->capNewClients(gpu2, Percent{50}).error().code, ErrorCode::Unavailable);
}

TEST_F(MpsManagerTest, AProgramThatIsMissingLeavesNothingChanged) {
  runner.spawn_results.push_back(fail(ErrorCode::NotFound, "start: No such file"));
  EXPECT_EQ(manager->start(gpu1).error().code, ErrorCode::NotFound);
  EXPECT_EQ(driver.compute_modes[gpu1], ComputeMode::Default);
  EXPECT_FALSE(generationExists(1));
  EXPECT_EQ(manager->status(gpu1).state, MpsState::Off);
}

TEST_F(MpsManagerTest, ADaemonThatNeverAnswersIsKilledAndTheGpuGivenBack) {
  allowStarts(1);
  control.answers = false;
  const auto started = manager->start(gpu1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::Timeout);
  ASSERT_EQ(runner.processes.size(), 1U);
  EXPECT_FALSE(runner.processes.begin()->second->alive);
  EXPECT_EQ(driver.compute_modes[gpu1], ComputeMode::Default);
  EXPECT_FALSE(generationExists(1));
}

TEST_F(MpsManagerTest, AServerThatDoesNotStartIsAFailedStart) {
  allowStarts(1);
  control.server_starts = false;
  EXPECT_EQ(manager->start(gpu1).error().code, ErrorCode::Timeout);
  EXPECT_EQ(driver.compute_modes[gpu1], ComputeMode::Default);
}

TEST_F(MpsManagerTest, AGpuWhoseModeCannotBeSetStartsNothing) {
  driver.set_mode_failure = Error{ErrorCode::Denied, "no permission"};
  EXPECT_EQ(manager->start(gpu1).error().code, ErrorCode::Denied);
  EXPECT_TRUE(runner.spawns.empty());
}

TEST_F(MpsManagerTest, StoppingTerminatesClientsBeforeItEndsTheDaemon) {
  startRunning();
  control.clients = {41, 42};
  ASSERT_TRUE(manager->stop(gpu1));
  const auto at = [&](const std::string& command) { return std::ranges::find(control.asked, command); };
  EXPECT_LT(at("terminate_client 500 41"), at("quit -t 5"));
  EXPECT_LT(at("terminate_client 500 42"), at("quit -t 5"));
  EXPECT_NE(at("quit -t 5"), control.asked.end());
  EXPECT_EQ(driver.compute_modes[gpu1], ComputeMode::Default);
  EXPECT_FALSE(generationExists(1));
  EXPECT_EQ(manager->status(gpu1).state, MpsState::Off);
  EXPECT_TRUE(manager->stop(gpu1)) << "stopping twice succeeds";
}

TEST_F(MpsManagerTest, ADaemonThatIgnoresQuitAndSigtermGetsSigkill) {
  const MpsStatus status = startRunning();
  control.quit = [] {};
  process(status).dies_of_sigterm = false;
  ASSERT_TRUE(manager->stop(gpu1));
  EXPECT_EQ(process(status).signals, (std::vector<int>{SIGTERM, SIGKILL}));
}

TEST_F(MpsManagerTest, ADaemonThatDiesNamesItsClientsAndANewGenerationStartsElsewhere) {
  const MpsStatus first = startRunning();
  control.clients = {41, 42};
  manager->supervise();
  EXPECT_EQ(manager->status(gpu1).clients, (Pids{41, 42}));
  endDaemons();
  allowStarts(1);
  manager->supervise();
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].gpu, gpu1);
  EXPECT_EQ(faults[0].generation, 1);
  EXPECT_EQ(faults[0].victims, (Pids{41, 42}));
  const MpsStatus second = manager->status(gpu1);
  EXPECT_EQ(second.state, MpsState::Running);
  EXPECT_EQ(second.generation, 2);
  EXPECT_NE(second.pipe_directory, first.pipe_directory);
  EXPECT_FALSE(generationExists(1));
  EXPECT_EQ(driver.compute_modes[gpu1], ComputeMode::ExclusiveProcess);
}

TEST_F(MpsManagerTest, AFatalFaultEndsTheGenerationThoughTheDaemonLives) {
  const MpsStatus first = startRunning();
  control.clients = {41, 42};
  manager->supervise();
  control.server_state = "FAULT";
  allowStarts(1);
  manager->supervise();
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].victims, (Pids{41, 42}));
  EXPECT_FALSE(process(first).alive);
  EXPECT_EQ(manager->status(gpu1).generation, 2);
}

TEST_F(MpsManagerTest, ADaemonThatHangsIsReplacedAfterTheThirdMiss) {
  const MpsStatus first = startRunning();
  control.answers = false;
  manager->supervise();
  manager->supervise();
  EXPECT_TRUE(faults.empty());
  manager->supervise();
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_FALSE(process(first).alive);
  EXPECT_EQ(manager->status(gpu1).state, MpsState::Failed) << "the test allowed no new start";
}

TEST_F(MpsManagerTest, AFailedRestartIsTriedAgainAfterAPause) {
  startRunning();
  endDaemons();
  runner.spawn_results.push_back(fail(ErrorCode::NotFound, "start: No such file"));
  manager->supervise();
  EXPECT_EQ(manager->status(gpu1).state, MpsState::Failed);
  allowStarts(1);
  manager->supervise();
  EXPECT_EQ(runner.spawns.size(), 2U) << "too early";
  clock.advance(retryDelay(1));
  manager->supervise();
  EXPECT_EQ(manager->status(gpu1).state, MpsState::Running);
  EXPECT_EQ(faults.size(), 1U) << "one end, one report";
}

TEST_F(MpsManagerTest, AServerThatEndedWithoutClientsIsStartedAgain) {
  startRunning();
  control.servers.clear();
  manager->supervise();
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(control.servers, (Pids{kServer}));
}

TEST_F(MpsManagerTest, B8ALiveDaemonIsAdoptedAfterARestartOfBerth) {
  const MpsStatus before = startRunning();
  restartBerth();
  const auto after = manager->start(gpu1);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->pid, before.pid);
  EXPECT_EQ(after->generation, 1);
  EXPECT_EQ(runner.spawns.size(), 1U);
  ASSERT_TRUE(manager->stop(gpu1));
  EXPECT_FALSE(process(before).alive);
}

TEST_F(MpsManagerTest, AStaleNoteWhosePidBelongsToAnotherProcessIsNotAdoptedNorKilled) {
  const MpsStatus before = startRunning();
  process(before).id.start_ticks += 1;  // The pid was used again.
  control.servers.clear();
  restartBerth();
  allowStarts(1);
  const auto after = manager->start(gpu1);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_NE(after->pid, before.pid);
  EXPECT_EQ(after->generation, 2);
  EXPECT_TRUE(process(before).alive);
  EXPECT_TRUE(process(before).signals.empty());
}

TEST_F(MpsManagerTest, ANoteOfAnotherBootSaysNothingAboutAPid) {
  const MpsStatus before = startRunning();
  restartBerth("boot-2");
  allowStarts(1);
  const auto after = manager->start(gpu1);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->generation, 2);
  EXPECT_TRUE(process(before).signals.empty());
}

TEST_F(MpsManagerTest, ADamagedNoteIsNoNote) {
  startRunning();
  endDaemons();
  ASSERT_TRUE(os::writeFileAtomically(folder_ / "mps" / gpu1.value / "running", "1 10", 0600));
  restartBerth();
  allowStarts(1);
  EXPECT_EQ(manager->start(gpu1).value().generation, 2);
}

TEST_F(MpsManagerTest, ALeftoverThatDoesNotAnswerIsKilledBeforeANewOneStarts) {
  const MpsStatus before = startRunning();
  restartBerth();
  control.answers = false;
  allowStarts(1);
  EXPECT_FALSE(manager->start(gpu1)) << "the new one does not answer either";
  EXPECT_EQ(process(before).signals, (std::vector<int>{SIGTERM}));
}

TEST_F(MpsManagerTest, StoppingEndsALeftoverOfAnEarlierRun) {
  const MpsStatus before = startRunning();
  restartBerth();
  ASSERT_TRUE(manager->stop(gpu1));
  EXPECT_FALSE(process(before).alive);
  EXPECT_EQ(driver.compute_modes[gpu1], ComputeMode::Default);
  EXPECT_FALSE(generationExists(1));
}

TEST_F(MpsManagerTest, B8ADaemonStartedByARunThatWasKilledBeforeItNotedItIsEnded) {
  os::FakeProcessState& control_daemon = leave("nvidia-cuda-mps-control", gpu1, "1");
  os::FakeProcessState& server = leave("nvidia-cuda-mps-server (deleted)", gpu1, "1");
  os::FakeProcessState& of_another_gpu = leave("nvidia-cuda-mps-control", gpu2, "1");
  os::FakeProcessState& client = leave("python3", gpu1, "1");
  startRunning();
  EXPECT_FALSE(control_daemon.alive);
  EXPECT_FALSE(server.alive);
  EXPECT_TRUE(of_another_gpu.alive);
  EXPECT_TRUE(client.alive);
}

TEST_F(MpsManagerTest, B8WhereMpsIsNotWantedStoppingEndsADaemonThatWasNeverNoted) {
  os::FakeProcessState& control_daemon = leave("nvidia-cuda-mps-control", gpu1, "1");
  ASSERT_TRUE(manager->stop(gpu1));
  EXPECT_FALSE(control_daemon.alive);
}

TEST_F(MpsManagerTest, B8AnAdoptedGenerationIsSparedWhenStrayOnesAreEnded) {
  startRunning();
  os::FakeProcessState& server = leave("nvidia-cuda-mps-server", gpu1, "1");
  os::FakeProcessState& stray = leave("nvidia-cuda-mps-control", gpu1, "2");
  restartBerth();
  ASSERT_TRUE(manager->start(gpu1));
  EXPECT_EQ(runner.spawns.size(), 1U);
  EXPECT_TRUE(server.alive);
  EXPECT_FALSE(stray.alive);
}

TEST_F(MpsManagerTest, AStoppedGpuIsNotSupervised) {
  startRunning();
  ASSERT_TRUE(manager->stop(gpu1));
  manager->supervise();
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(manager->status(gpu1).state, MpsState::Off);
}

TEST_F(MpsManagerTest, ARunDirectoryTooLongForSocketsIsRefusedByName) {
  folder_ /= std::string(80, 'x');
  restartBerth();
  const auto started = manager->start(gpu1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::InvalidArgument);
  EXPECT_NE(started.error().message.find("control_privileged"), std::string::npos);
}

}  // namespace
}  // namespace berth::sharing
