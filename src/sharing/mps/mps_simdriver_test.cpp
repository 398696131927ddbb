// The manager on the simulated driver's own programs: real processes, pipes and compute modes.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/nvml/nvml_driver.h"
#include "os/process.h"
#include "sharing/mps/mps_manager.h"

namespace berth::sharing {
namespace {

namespace fs = std::filesystem;
using gpu::ComputeMode;

const fs::path kRoot = BERTH_TEST_SIM_ROOT;

class MpsSimulatedTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* file : {"bin/berth-sim", "bin/nvidia-cuda-mps-control", "lib/libnvidia-ml.so.1"}) {
      if (!fs::exists(kRoot / file)) GTEST_SKIP() << (kRoot / file) << " is not built";
    }
    std::string pattern = "/tmp/berth-mps-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    ::setenv("BERTH_SIM_DIR", (folder_ / "sim").c_str(), 1);  // Before any thread of the test starts.
    ASSERT_TRUE(berthSim({"create", (folder_ / "sim").string(), "t4:2"}));
    driver = std::make_unique<gpu::NvmlDriver>(kRoot);
    const auto gpus = driver->list();
    ASSERT_TRUE(gpus) << gpus.error().message;
    ASSERT_EQ(gpus->size(), 2U);
    gpu = gpus->front().uuid;
    other = gpus->back().uuid;
    restartBerth();
  }
  void TearDown() override {
    if (folder_.empty()) return;
    if (manager) {
      EXPECT_TRUE(manager->stop(gpu));
    }
    manager.reset();
    driver.reset();
    fs::remove_all(folder_);
  }

  bool berthSim(const std::vector<std::string>& words) {
    os::ProcessSpec spec;
    spec.argv = {(kRoot / "bin/berth-sim").string()};
    spec.argv.insert(spec.argv.end(), words.begin(), words.end());
    const auto result = runner.run(spec, clock.now() + std::chrono::seconds(20));
    return result && result->status.success();
  }
  void restartBerth() {
    MpsConfig config;
    config.driver_root = kRoot;
    config.run_directory = folder_ / "run";
    config.boot_id = "this-boot";
    manager =
        std::make_unique<MpsManager>(MpsWorld{config, runner, *driver, clock,
                                              [](auto by) { std::this_thread::sleep_for(by); }, os::Procfs()},
                                     [this](const MpsFault& fault) { faults.push_back(fault); });
  }
  ComputeMode modeOf(const GpuUuid& uuid) { return driver->sample(uuid).value().compute_mode; }
  static bool hasEnded(std::int64_t pid) {
    const auto process = os::PidFd::open(pid);
    return !process || process->exited();
  }
  /// The process is gone, so the next look must see it.
  void killAndWait(std::int64_t pid) {
    auto process = os::PidFd::open(pid);
    ASSERT_TRUE(process) << process.error().message;
    ASSERT_TRUE(process->signal(SIGKILL));
    ASSERT_TRUE(process->waitExit(clock.now() + std::chrono::seconds(20)));
  }

  fs::path folder_;
  SystemClock clock;
  os::PosixProcessRunner runner;
  std::unique_ptr<gpu::NvmlDriver> driver;
  std::unique_ptr<MpsManager> manager;
  std::vector<MpsFault> faults;
  GpuUuid gpu;
  GpuUuid other;
};

TEST_F(MpsSimulatedTest, B16MpsRunsOnOneGpuAndGivesItBackAsItWas) {
  const auto started = manager->start(gpu, {Percent{50}, MiB{4096}});
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(modeOf(gpu), ComputeMode::ExclusiveProcess);
  EXPECT_EQ(modeOf(other), ComputeMode::Default);
  manager->supervise();
  EXPECT_EQ(manager->status(gpu).state, MpsState::Running);
  EXPECT_GT(manager->status(gpu).server_pid, 0);

  const auto stopped = manager->stop(gpu);
  ASSERT_TRUE(stopped) << stopped.error().message;
  EXPECT_EQ(modeOf(gpu), ComputeMode::Default);
  EXPECT_FALSE(os::PidFd::open(started->pid)) << "the daemon is gone";
  EXPECT_FALSE(fs::exists(started->pipe_directory));
}

TEST_F(MpsSimulatedTest, B8TheDaemonOutlivesTheManagerAndIsAdopted) {
  const auto before = manager->start(gpu);
  ASSERT_TRUE(before) << before.error().message;
  restartBerth();
  const auto after = manager->start(gpu);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->pid, before->pid);
  EXPECT_EQ(after->generation, before->generation);
}

TEST_F(MpsSimulatedTest, AKilledDaemonIsReplacedByANewGeneration) {
  const auto before = manager->start(gpu);
  ASSERT_TRUE(before) << before.error().message;
  killAndWait(before->pid);
  manager->supervise();
  ASSERT_EQ(faults.size(), 1U);
  const MpsStatus after = manager->status(gpu);
  EXPECT_EQ(after.state, MpsState::Running) << after.message;
  EXPECT_EQ(after.generation, before->generation + 1);
  EXPECT_EQ(modeOf(gpu), ComputeMode::ExclusiveProcess);
}

TEST_F(MpsSimulatedTest, B8ADaemonThatWasStartedButNotNotedIsReplacedNotDoubled) {
  const auto before = manager->start(gpu);
  ASSERT_TRUE(before) << before.error().message;
  manager->supervise();
  const std::int64_t server = manager->status(gpu).server_pid;
  fs::remove(folder_ / "run" / "mps" / gpu.value / "running");
  restartBerth();
  const auto after = manager->start(gpu);
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_NE(after->pid, before->pid);
  EXPECT_TRUE(hasEnded(before->pid));
  EXPECT_TRUE(hasEnded(server));
}

}  // namespace
}  // namespace berth::sharing
