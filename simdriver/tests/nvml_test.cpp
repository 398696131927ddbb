// NVML and the engine against each other, with real processes on the GPU.
#include <chrono>
#include <csignal>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support.h"

namespace berth::sim::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr const char* kNbodyMemory =
    "reserve 1966080";  // Three arrays of 16 bytes for each of 40,960 bodies.
constexpr unsigned int kExclusiveProcess = 3;

TEST(SimNvmlTest, TheLibrarySaysThatItIsTheSimulatedDriver) {
  const Box box;
  const Nvml nvml;
  EXPECT_NE(nvml.symbol("berthSimulatedDriver"), nullptr);
}

TEST(SimNvmlTest, TwoNbodyProcessesShow109MibEachAnd221Together) {
  const Box box;
  const Nvml nvml;
  const auto first = box.openedClient();
  const auto second = box.openedClient();
  ASSERT_EQ(first->status(kNbodyMemory), Status::Ok);
  ASSERT_EQ(second->status(kNbodyMemory), Status::Ok);

  EXPECT_THAT(nvml.processes(nvml.device()),
              UnorderedElementsAre(Pair(first->pid(), 109), Pair(second->pid(), 109)));
  EXPECT_THAT(nvml.processes(nvml.device(), true), IsEmpty());
  EXPECT_EQ(nvml.usedMib(nvml.device()), 221U);
}

TEST(SimNvmlTest, AGpuNobodyUsesHasNoMemoryInUse) {
  const Box box;
  const Nvml nvml;
  EXPECT_EQ(nvml.usedMib(nvml.device()), 0U);
  EXPECT_THAT(nvml.processes(nvml.device()), IsEmpty());
}

TEST(SimNvmlTest, AKilledProcessIsGoneAtOnce) {
  const Box box;
  const Nvml nvml;
  const auto client = box.openedClient();
  ASSERT_EQ(client->status(kNbodyMemory), Status::Ok);
  ASSERT_EQ(nvml.processes(nvml.device()).size(), 1U);

  client->kill();

  EXPECT_THAT(nvml.processes(nvml.device()), IsEmpty());
  EXPECT_EQ(nvml.usedMib(nvml.device()), 0U);
}

TEST(SimNvmlTest, MemoryOfAKilledProcessCanBeTakenByAnother) {
  const Box box;
  const auto first = box.openedClient();
  const auto second = box.openedClient();
  ASSERT_EQ(first->status("reserve 12884901888"), Status::Ok);
  ASSERT_EQ(second->status("reserve 12884901888"), Status::OutOfMemory);

  first->kill();

  EXPECT_EQ(second->status("reserve 12884901888"), Status::Ok);
}

TEST(SimNvmlTest, AClosedContextGivesItsMemoryBack) {
  const Box box;
  const Nvml nvml;
  const auto client = box.openedClient();
  ASSERT_EQ(client->status("close"), Status::Ok);
  EXPECT_EQ(nvml.usedMib(nvml.device()), 0U);
}

TEST(SimNvmlTest, ExclusiveProcessRefusesASecondProcess) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may set the compute mode";
  const Box box;
  const Nvml nvml;
  ASSERT_EQ(nvml.call("nvmlDeviceSetComputeMode", nvml.device(), kExclusiveProcess), NVML_SUCCESS);
  const auto first = box.openedClient();
  const auto second = box.client();
  EXPECT_EQ(second->status("open"), Status::DeviceUnavailable);

  first->kill();

  EXPECT_EQ(second->status("open"), Status::Ok);
}

TEST(SimNvmlTest, ABusyGpuShowsUtilisationOfTheProcessThatCausesIt) {
  const Box box;
  const Nvml nvml;
  const auto busy = box.openedClient();
  const auto idle = box.openedClient();
  ASSERT_EQ(busy->status("queue 1200"), Status::Ok);
  ASSERT_EQ(busy->status("queue 60000"), Status::Ok);
  ASSERT_EQ(idle->status("queue 700"), Status::Ok);
  ASSERT_EQ(idle->status("finish"), Status::Ok);  // Both worked in turns for more than a second.

  nvmlUtilization_t load{};
  ASSERT_EQ(nvml.call("nvmlDeviceGetUtilizationRates", nvml.device(), &load), NVML_SUCCESS);
  unsigned int power = 0;
  ASSERT_EQ(nvml.call("nvmlDeviceGetPowerUsage", nvml.device(), &power), NVML_SUCCESS);

  EXPECT_GE(load.gpu, 99U);
  EXPECT_GT(power, 60'000U);
  EXPECT_LE(power, 70'000U);
}

using Load = std::map<pid_t, unsigned int>;

/// What NVML says of the last window, once it is `wanted`; its last answer when that never comes.
Load loadOnce(const Nvml& nvml, const Load& wanted) {
  Load load;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (load != wanted && std::chrono::steady_clock::now() < deadline) {
    ::usleep(10'000);
    load = nvml.processLoad(nvml.device());
  }
  return load;
}

// Two that always have work take turns: of twice 2000 + 199 us each works 2000 (profiles.txt: slice and
// switch), which is 45.5 %, shown as 45 or 46 by where the window begins. One without work has nothing, one
// left alone everything.
TEST(SimNvmlTest, ProcessesThatTakeTurnsShowTheirSlicesAndTheOneThatStaysShowsAll) {
  const Box box;
  const Nvml nvml;
  const auto first = box.openedClient();
  const auto second = box.openedClient();
  const auto idle = box.openedClient();
  ASSERT_EQ(first->status("queue 600000"), Status::Ok);
  ASSERT_EQ(second->status("queue 600000"), Status::Ok);
  const Load turns{{first->pid(), 45}, {second->pid(), 45}, {idle->pid(), 0}};
  EXPECT_EQ(loadOnce(nvml, turns), turns);

  second->kill();

  const Load all{{first->pid(), 100}, {idle->pid(), 0}};
  EXPECT_EQ(loadOnce(nvml, all), all);
}

TEST(SimNvmlTest, LoadOfProcessesIsNotToldTwiceForOneTimeAndNeverIntoTooLittleRoom) {
  const Box box;
  const Nvml nvml;
  const auto client = box.openedClient();
  unsigned int count = 0;
  constexpr const char* kName = "nvmlDeviceGetProcessUtilization";
  nvmlProcessUtilizationSample_t* none = nullptr;
  EXPECT_EQ(nvml.call(kName, nvml.device(), none, &count, 0ULL), NVML_ERROR_INSUFFICIENT_SIZE);
  EXPECT_EQ(count, 1U);
  EXPECT_EQ(nvml.call(kName, nvml.device(), none, &count, ~0ULL), NVML_ERROR_NOT_FOUND);
  EXPECT_EQ(count, 0U) << "nothing is newer than that time";
}

struct EventData {
  nvmlDevice_t device;
  unsigned long long type;
  unsigned long long data;
  unsigned int gpu_instance;
  unsigned int compute_instance;
};

class SimNvmlEventTest : public ::testing::Test {
 protected:
  SimNvmlEventTest() {
    EXPECT_EQ(nvml_.call("nvmlEventSetCreate", &set_), NVML_SUCCESS);
    constexpr unsigned long long kXid = 8;
    EXPECT_EQ(nvml_.call("nvmlDeviceRegisterEvents", nvml_.device(), kXid, set_), NVML_SUCCESS);
  }
  ~SimNvmlEventTest() override { nvml_.call("nvmlEventSetFree", set_); }

  nvmlReturn_t wait(EventData& event, unsigned int timeout_ms) const {
    return nvml_.call("nvmlEventSetWait_v2", set_, &event, timeout_ms);
  }

  Box box_;
  Nvml nvml_;
  nvmlEventSet_t set_ = nullptr;
};

TEST_F(SimNvmlEventTest, AnInjectedXidReachesAnEventSetOnce) {
  EventData event{};
  EXPECT_EQ(wait(event, 0), NVML_ERROR_TIMEOUT);
  ASSERT_EQ(box_.berthSim({"fault", "0", "xid", "43"}), 0);

  ASSERT_EQ(wait(event, 5000), NVML_SUCCESS);
  EXPECT_EQ(event.device, nvml_.device());
  EXPECT_EQ(event.type, 8U);
  EXPECT_EQ(event.data, 43U);
  EXPECT_EQ(wait(event, 0), NVML_ERROR_TIMEOUT);
}

TEST_F(SimNvmlEventTest, AnIllegalAddressIsXid31) {
  const auto client = box_.openedClient();
  ASSERT_EQ(client->status("raise"), Status::Ok);
  EXPECT_EQ(client->status("fault"), Status::IllegalAddress);

  EventData event{};
  ASSERT_EQ(wait(event, 5000), NVML_SUCCESS);
  EXPECT_EQ(event.data, 31U);
}

TEST_F(SimNvmlEventTest, TheLossOfAGpuIsAnEventThoughTheGpuCannotBeAsked) {
  ASSERT_EQ(box_.berthSim({"fault", "0", "lost"}), 0);
  EventData event{};
  ASSERT_EQ(wait(event, 5000), NVML_SUCCESS);
  EXPECT_EQ(event.data, 79U);
}

TEST_F(SimNvmlEventTest, EventsAreToldInTheirOrder) {
  for (int i = 0; i < 3; ++i) ASSERT_EQ(box_.berthSim({"fault", "0", "xid", std::to_string(100 + i)}), 0);
  EventData event{};
  for (unsigned long long i = 0; i < 3; ++i) {
    ASSERT_EQ(wait(event, 5000), NVML_SUCCESS);
    EXPECT_EQ(event.data, 100 + i);
  }
}

TEST(SimNvmlTest, ALostGpuSaysSoVanishesAndComesBack) {
  const Box box("t4:2");
  const Nvml nvml;
  const auto client = box.openedClient();
  const nvmlDevice_t device = nvml.device(0);
  ASSERT_EQ(box.berthSim({"fault", "0", "lost"}), 0);

  nvmlMemory_t memory{};
  EXPECT_EQ(nvml.call("nvmlDeviceGetMemoryInfo", device, &memory), NVML_ERROR_GPU_IS_LOST);
  EXPECT_EQ(client->status("fault"), Status::DeviceLost);
  EXPECT_EQ(nvml.count(), 2U);
  nvml.reinitialise();
  EXPECT_EQ(nvml.count(), 1U);

  ASSERT_EQ(box.berthSim({"fault", "0", "recovered"}), 0);
  nvml.reinitialise();
  EXPECT_EQ(nvml.count(), 2U);
  EXPECT_EQ(nvml.call("nvmlDeviceGetMemoryInfo", device, &memory), NVML_SUCCESS);
  EXPECT_EQ(client->status("fault"), Status::DeviceLost) << "the context does not come back";
}

TEST(SimNvmlTest, AGpuBoundToVfioVanishesFromNvmlUntilItIsGivenBack) {
  const Box box("t4:2");
  const Nvml nvml;
  ASSERT_EQ(box.berthSim({"bind", "1", "vfio"}), 0);
  nvml.reinitialise();
  EXPECT_EQ(nvml.count(), 1U);
  ASSERT_EQ(box.berthSim({"bind", "1", "nvidia"}), 0);
  nvml.reinitialise();
  EXPECT_EQ(nvml.count(), 2U);
}

TEST(SimNvmlTest, AGpuInUseIsNotBoundToVfio) {
  const Box box;
  const auto client = box.openedClient();
  EXPECT_EQ(box.berthSim({"bind", "0", "vfio"}), 1);
  EXPECT_EQ(box.berthSim({"bind", "0", "nvidia"}), 0) << "it is so already";
  client->kill();
  EXPECT_EQ(box.berthSim({"bind", "0", "vfio"}), 0);
}

TEST(SimNvmlTest, AProcessInAnotherPidNamespaceIsListedUnderThePidItHasHere) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may make a PID namespace";
  const Box box;
  const Nvml nvml;
  Child client({"unshare", "-pf", "--kill-child", "--mount-proc", SIM_CLIENT});
  if (client.ask("open").empty()) GTEST_SKIP() << "unshare -pf does not work here";
  ASSERT_EQ(client.status(kNbodyMemory), Status::Ok);

  const auto processes = nvml.processes(nvml.device());
  ASSERT_EQ(processes.size(), 1U);
  EXPECT_NE(processes.begin()->first, 1);
  EXPECT_EQ(::kill(processes.begin()->first, 0), 0);
  EXPECT_EQ(processes.begin()->second, 109U);
}

TEST(SimNvmlTest, AProcessHereIsNotListedInANamespaceThatCannotSeeIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may make a PID namespace";
  const Box box;
  const auto outside = box.openedClient();
  Child inside({"unshare", "-pf", "--kill-child", "--mount-proc", program("berth-sim"), "status",
                box.folder().string(), "--json"});
  const std::string status = inside.hear();
  if (status.empty()) GTEST_SKIP() << "unshare -pf does not work here";
  EXPECT_THAT(status, ::testing::HasSubstr(R"("processes":[{"pid":0,)"));
}

// A container that cuts its bind-mounted state file short must not take the daemon with it.
TEST(SimNvmlTest, AStateFileCutShortMakesTheGpuLostAndNothingWorse) {
  const Box box;
  const Nvml nvml;
  const nvmlDevice_t device = nvml.device();
  nvmlMemory_t memory{};
  ASSERT_EQ(nvml.call("nvmlDeviceGetMemoryInfo", device, &memory), NVML_SUCCESS);

  const auto file = box.stateFile();
  for (const std::size_t length : {4096U, 100U, 0U}) {
    SCOPED_TRACE(length);
    std::filesystem::resize_file(file, length);
    EXPECT_EQ(nvml.call("nvmlDeviceGetMemoryInfo", device, &memory), NVML_ERROR_GPU_IS_LOST);
  }
  nvml.reinitialise();
  EXPECT_EQ(nvml.count(), 0U);
}

}  // namespace
}  // namespace berth::sim::testing
