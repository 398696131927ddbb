#include "service/guard_keeper.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "gpu/fake_driver.h"
#include "service/service_testing.h"

namespace berth::service {
namespace {

using std::chrono::milliseconds;
using testing::Box;
using testing::job;

const std::string kShare = "berth.dev/gpu-compute: 20, berth.dev/gpu-memory: 4096";
constexpr std::int64_t kStart = 5000;

/// A box whose processes, region files and driver are the test's.
class GuardKeeperTest : public ::testing::Test {
 protected:
  GuardKeeperTest() {
    std::filesystem::create_directories(proc());
    std::ofstream(library()) << "guard";
    driver.gpus = {gpu::fakeGpu(0)};
    boot();
  }

  void boot(sharing::Enforcement enforcement = sharing::Enforcement::Stop) {
    regions = std::make_unique<sharing::GuardRegions>(dir.file("guard"), library());
    keeper = std::make_unique<GuardKeeper>(GuardKeeper::Parts{
        *box.desk, box.engine, driver, regions.get(), enforcement, milliseconds(2000), os::Procfs(proc())});
  }

  std::string library() const { return dir.file("libberth-guard-1.so"); }
  std::string proc() const { return dir.file("proc"); }

  /// Runs a Job with a share; its files are there, as a start makes them.
  void run(const std::string& name) {
    ASSERT_TRUE(box.service->apply(job(name, "", kShare), "f", DryRun::No));
    box.settle();
    std::vector<ledger::Berth> berths;
    for (const ledger::Berth& berth : box.state().berths) {
      if (berth.holder.name == name + "/0/c") berths.push_back(berth);
    }
    const auto guard = keeper->prepare(berths);
    ASSERT_TRUE(guard) << guard.error().message;
    ASSERT_TRUE(*guard);
  }

  /// A process in a container, on the GPU. `inner`: its pid in there.
  void process(std::int64_t pid, const std::string& workload, std::int64_t inner, bool guard = true) {
    const std::filesystem::path folder = std::filesystem::path(proc()) / std::to_string(pid);
    std::filesystem::create_directories(folder / "ns");
    const std::string id = box.engine.idOf("berth-" + workload + "-0-c")->value;
    std::ofstream(folder / "cgroup") << "0::/machine/libpod-" << id << ".scope\n";
    std::ofstream(folder / "stat") << pid << " (job) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 " << kStart
                                   << " 1\n";
    std::ofstream(folder / "status") << "NSpid:\t" << pid << "\t" << inner << "\n";
    std::ofstream(folder / "ns" / "pid") << "";
    const std::filesystem::path seen = folder / "root/usr/lib/berth/libberth-guard-1.so";
    std::filesystem::create_directories(seen.parent_path());
    std::ofstream(seen) << "guard";
    struct stat file{};
    ASSERT_EQ(::stat(seen.c_str(), &file), 0);
    std::ofstream(folder / "maps") << "1-2 r-xp 0 0:0 " << (guard ? file.st_ino : 1)
                                   << " /usr/lib/berth/libberth-guard-1.so\n";
    driver.running[gpu()].push_back({pid, 100 << 20, false, 30});
  }

  /// What the guard in that process would write.
  void report(const std::string& workload, std::uint32_t inner, std::uint64_t bytes = 0,
              std::uint64_t pid_namespace = 0) {
    const std::string path = dir.file("guard/" + workload + "/0/c/usage");
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const std::uint64_t owner = guard::SlotOwner{inner, kStart, false}.word();
    constexpr std::size_t kFirstSlot = offsetof(guard::UsageRegion, slots);
    write(file, kFirstSlot + offsetof(guard::Slot, owner), owner);
    write(file, kFirstSlot + offsetof(guard::Slot, pid_namespace), pid_namespace);
    write(file, sizeof(guard::UsageRegion) + offsetof(guard::GpuUsage, used),
          guard::UsedWord{bytes / guard::kGranule, 0}.word());
  }

  static void write(std::fstream& file, std::size_t offset, std::uint64_t word) {
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(reinterpret_cast<const char*>(&word), sizeof word);
  }

  void lookFor(milliseconds time) {
    for (milliseconds gone{0}; gone <= time; gone += milliseconds(1000)) {
      keeper->look();
      box.clock.advance(milliseconds(1000));
    }
  }

  GpuUuid gpu() const { return box.state().gpus.front().uuid; }
  bool stopped(const std::string& workload) const {
    const auto calls = box.engine.calls();
    const std::string call = "stop " + box.engine.idOf("berth-" + workload + "-0-c")->value + " grace=0";
    return std::ranges::find(calls, call) != calls.end();
  }
  std::string lastEvent(const std::string& kind) const {
    std::string message;
    const std::vector<Event> events = box.desk->events(0, 1000).value();
    for (const Event& event : events) {
      if (event.kind == kind) message = event.subject + ": " + event.message;
    }
    return message;
  }
  std::uint64_t memoryLimit(const std::string& container) const {
    const sharing::PresentRegions present = regions->present();
    return present.at(container)->front().share.memory_bytes >> 20U;
  }

  ledger::testing::TempDir dir;
  Box box{1, arbiter::Arbitration::Appliance, arbiter::Capabilities{.guard = true}};
  gpu::FakeGpuDriver driver;
  std::unique_ptr<sharing::GuardRegions> regions;
  std::unique_ptr<GuardKeeper> keeper;
};

TEST_F(GuardKeeperTest, LimitsFollowTheBookAndTheOperationWaitsForThem) {
  run("a");
  EXPECT_EQ(memoryLimit("a/0/c"), 4096U);
  ASSERT_TRUE(box.service->setLimits("a", {"", {}, MiB{8192}, false}, DryRun::No));
  EXPECT_EQ(keeper->inForce(*box.desk->book(), gpu()).behind, "a/0/c");
  EXPECT_TRUE(keeper->follow());
  EXPECT_EQ(memoryLimit("a/0/c"), 8192U);
  EXPECT_EQ(keeper->inForce(*box.desk->book(), gpu()).behind, "");
  EXPECT_FALSE(keeper->follow()) << "nothing is left to do";
}

TEST_F(GuardKeeperTest, ARestartedDaemonFindsTheFilesOfWhatRunsAndRemovesTheRest) {
  run("a");
  run("b");
  box.engine.exitContainer(*box.engine.idOf("berth-b-0-c"), 0);
  box.boot();
  boot();
  box.settle();
  EXPECT_TRUE(keeper->follow());
  EXPECT_EQ(regions->present().size(), 1U);
  EXPECT_TRUE(regions->present().contains("a/0/c"));
}

TEST_F(GuardKeeperTest, AContainerWithoutFilesOfThisGuardCannotFollowAndIsNamed) {
  run("a");
  ASSERT_TRUE(regions->remove("a/0/c"));
  EXPECT_EQ(keeper->inForce(*box.desk->book(), gpu()).lost, "a/0/c");
}

TEST_F(GuardKeeperTest, AProcessThatReportedInIsLeftAlone) {
  run("a");
  process(300, "a", 7);
  report("a", 7);
  lookFor(milliseconds(5000));
  EXPECT_FALSE(stopped("a"));
  EXPECT_EQ(lastEvent("guard.unreported"), "");
}

TEST_F(GuardKeeperTest, OneThatHasNotIsNamedWithItsContainerWhichIsStopped) {
  run("a");
  process(300, "a", 7);
  report("a", 8);
  lookFor(milliseconds(1000));
  EXPECT_FALSE(stopped("a")) << "within the grace";
  lookFor(milliseconds(2000));
  EXPECT_TRUE(stopped("a"));
  EXPECT_EQ(lastEvent("guard.unreported"),
            "a/0/c: process 300 (job) uses the GPU without the guard; the container is stopped");
  box.settle();
  EXPECT_EQ(box.desk->book()->workloads.at("a")->containers.front().message,
            "process 300 (job) uses the GPU without the guard");
}

TEST_F(GuardKeeperTest, UnderTheOtherPolicyItIsOnlyReported) {
  boot(sharing::Enforcement::Report);
  run("a");
  process(300, "a", 7);
  lookFor(milliseconds(5000));
  EXPECT_FALSE(stopped("a"));
  EXPECT_EQ(lastEvent("guard.unreported"), "a/0/c: process 300 (job) uses the GPU without the guard");
}

TEST_F(GuardKeeperTest, AProgramWithoutTheGuardInPlaceOfOneThatReportedIsFound) {
  run("a");
  process(300, "a", 7, false);
  report("a", 7);
  lookFor(milliseconds(3000));
  EXPECT_TRUE(stopped("a"));
}

TEST_F(GuardKeeperTest, ADamagedUsageFileMeansThatNobodyReported) {
  run("a");
  process(300, "a", 7);
  report("a", 7);
  std::filesystem::resize_file(dir.file("guard/a/0/c/usage"), 100);
  lookFor(milliseconds(3000));
  EXPECT_TRUE(stopped("a"));
}

TEST_F(GuardKeeperTest, B8AContainerThatWasStartedBeforeThereWasAGuardGoesOn) {
  run("a");
  ASSERT_TRUE(regions->remove("a/0/c"));
  process(300, "a", 7);
  lookFor(milliseconds(5000));
  EXPECT_FALSE(stopped("a"));
}

TEST_F(GuardKeeperTest, ADeadProcessOfAnotherPidNamespaceIsSaidToBeDead) {
  run("a");
  report("a", 9, 1 << 20, 42);
  keeper->look();
  std::ifstream limits(dir.file("guard/a/0/c/limits"), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(limits)), std::istreambuf_iterator<char>());
  const auto* region = reinterpret_cast<const guard::LimitsRegion*>(bytes.data());
  EXPECT_EQ(region->dead[0].load(), (guard::SlotOwner{9, kStart, false}.word()));
}

TEST_F(GuardKeeperTest, EveryContainersUseAndTheRemainderAreTheDevices) {
  run("a");
  process(300, "a", 7);
  report("a", 7, 64 << 20);
  driver.running[gpu()].push_back({999, 50 << 20, false, 10});
  driver.samples[gpu()].memory_used_bytes = 200 << 20;
  driver.samples[gpu()].utilization_percent = 45;
  lookFor(milliseconds(2000));
  const sharing::GpuReport report = keeper->report().at(0);
  ASSERT_EQ(report.containers.size(), 1U);
  EXPECT_EQ(report.containers[0].container, "a/0/c");
  EXPECT_EQ(report.containers[0].use, (sharing::GpuUse{600'000'000, 300, 100 << 20}));
  EXPECT_EQ(report.containers[0].guard->memory_bytes, 64 << 20);
  EXPECT_EQ(report.device, (sharing::GpuUse{900'000'000, 450, 200 << 20}));
  EXPECT_EQ(report.remainder, (sharing::GpuUse{300'000'000, 150, 100 << 20}));
}

TEST_F(GuardKeeperTest, WithoutAGuardNothingIsMadeOrAudited) {
  run("a");
  process(300, "a", 7);
  GuardKeeper none({*box.desk, box.engine, driver, nullptr, sharing::Enforcement::Stop, milliseconds(0),
                    os::Procfs(proc())});
  EXPECT_FALSE(*none.prepare(box.state().berths));
  none.look();
  EXPECT_FALSE(none.follow());
  EXPECT_FALSE(stopped("a"));
  EXPECT_EQ(none.report().size(), 1U) << "the account needs no guard";
}

}  // namespace
}  // namespace berth::service
