// The MPS programs with real clients (peers.md 3.4, 3.5).
#include <array>
#include <csignal>
#include <cstdlib>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "engine/gpu.h"
#include "tests/support.h"

namespace berth::sim::testing {
namespace {

using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr const char* kNbodyMemory =
    "reserve 1966080";  // Three arrays of 16 bytes for each of 40,960 bodies.
constexpr uid_t kNobody = 65534;

class SimMpsTest : public ::testing::Test {
 protected:
  SimMpsTest() : daemon_({program("nvidia-cuda-mps-control"), "-f"}) {
    while (command("get_server_list").failed && patience_-- > 0) ::usleep(10'000);
    EXPECT_GT(patience_, 0) << "the control daemon does not answer";
  }

  struct Answer {
    bool failed = false;
    std::string text;
  };

  /// What the control program prints for one command.
  static Answer command(const std::string& line) {
    Child control({program("nvidia-cuda-mps-control")});
    control.say(line);
    control.closeInput();
    Answer answer;
    for (std::string heard = control.hear(); !heard.empty(); heard = control.hear()) {
      answer.text += (answer.text.empty() ? "" : " ") + heard;
    }
    answer.failed = control.end() != 0;
    return answer;
  }

  static pid_t server() { return std::atoi(command("get_server_list").text.c_str()); }

  Box box_;
  int patience_ = 500;
  Child daemon_;
};

TEST_F(SimMpsTest, TwoNbodyClientsShow107MibEachTheServer25And242Together) {
  const Nvml nvml;
  const auto first = box_.openedClient();
  const auto second = box_.openedClient();
  ASSERT_EQ(first->status(kNbodyMemory), Status::Ok);
  ASSERT_EQ(second->status(kNbodyMemory), Status::Ok);

  EXPECT_THAT(nvml.processes(nvml.device()),
              UnorderedElementsAre(Pair(first->pid(), 107), Pair(second->pid(), 107), Pair(server(), 25)));
  EXPECT_THAT(nvml.processes(nvml.device(), true),
              UnorderedElementsAre(Pair(first->pid(), 107), Pair(second->pid(), 107)));
  EXPECT_EQ(nvml.usedMib(nvml.device()), 242U);
}

TEST_F(SimMpsTest, TheServersPercentageIsWhatAClientGets) {
  EXPECT_EQ(command("set_default_active_thread_percentage 50").text, "50.0");
  EXPECT_EQ(box_.client()->ask("open"), "0 20");
}

TEST_F(SimMpsTest, AClientsOwnPercentageCanOnlyLowerTheServers) {
  command("set_default_active_thread_percentage 50");
  ::setenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "20", 1);
  EXPECT_EQ(box_.client()->ask("open"), "0 8");
  ::setenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "90", 1);
  EXPECT_EQ(box_.client()->ask("open"), "0 20");
}

TEST_F(SimMpsTest, ClientsSideBySideShowUtilisationByTheSmsTheyFill) {
  const Nvml nvml;
  ::setenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "25", 1);
  const auto small = box_.openedClient();
  ::setenv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "50", 1);
  const auto large = box_.openedClient();
  ASSERT_EQ(small->status("queue 60000"), Status::Ok);
  ASSERT_EQ(large->status("queue 700"), Status::Ok);
  ASSERT_EQ(large->status("finish"), Status::Ok);

  const auto shares = nvml.processLoad(nvml.device());
  EXPECT_NEAR(shares.at(small->pid()), 33, 4);
  EXPECT_NEAR(shares.at(large->pid()), 67, 8);
}

TEST_F(SimMpsTest, ANewDefaultPercentageIsForServersStartedLater) {
  const auto client = box_.openedClient();
  command("set_default_active_thread_percentage 50");
  EXPECT_EQ(box_.client()->ask("open"), "0 40");

  command("set_active_thread_percentage " + std::to_string(server()) + " 25");
  EXPECT_EQ(box_.client()->ask("open"), "0 10");
}

TEST_F(SimMpsTest, APinnedMemoryLimitHoldsForEachClientAndIsWhatItIsTold) {
  ASSERT_FALSE(command("set_default_device_pinned_mem_limit 0 1G").failed);
  EXPECT_EQ(command("get_default_device_pinned_mem_limit 0").text, "1024M");
  const auto client = box_.openedClient();
  EXPECT_EQ(client->ask("memory"), "1073741824 1073741824");
  EXPECT_EQ(client->status("reserve 1073741825"), Status::OutOfMemory);
  EXPECT_EQ(client->status("reserve 1073741824"), Status::Ok);
  EXPECT_EQ(client->status("reserve 1"), Status::OutOfMemory);
  EXPECT_EQ(box_.openedClient()->status("reserve 1073741824"), Status::Ok);
}

TEST_F(SimMpsTest, AClientsOwnMemoryLimitCanOnlyLowerTheServers) {
  command("set_default_device_pinned_mem_limit 0 1G");
  ::setenv("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "0=512M", 1);
  EXPECT_EQ(box_.openedClient()->ask("memory"), "536870912 536870912");
  ::setenv("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", "0=4G", 1);
  EXPECT_EQ(box_.openedClient()->ask("memory"), "1073741824 1073741824");
}

TEST_F(SimMpsTest, TheFortyNinthClientIsRefused) {
  std::vector<std::unique_ptr<Child>> clients;
  for (std::uint32_t i = 0; i < kMaxMpsClients; ++i) clients.push_back(box_.openedClient());
  const auto last = box_.client();
  EXPECT_EQ(last->status("open"), Status::MpsMaxClientsReached);
  clients.pop_back();
  EXPECT_EQ(last->status("open"), Status::Ok);
}

TEST_F(SimMpsTest, ExclusiveProcessLetsTheServersClientsInAndNobodyElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may set the compute mode";
  const Nvml nvml;
  ASSERT_EQ(nvml.call("nvmlDeviceSetComputeMode", nvml.device(), 3U), NVML_SUCCESS);
  const auto first = box_.openedClient();
  const auto second = box_.openedClient();
  ::setenv("CUDA_MPS_PIPE_DIRECTORY", "/nonexistent", 1);
  EXPECT_EQ(box_.client()->status("open"), Status::DeviceUnavailable);
}

TEST_F(SimMpsTest, AFatalFaultEndsAllClientsAndTheServerRecoversWhenTheyHaveLeft) {
  auto culprit = box_.openedClient();
  auto victim = box_.openedClient();
  ASSERT_EQ(culprit->status("raise"), Status::Ok);

  EXPECT_EQ(culprit->status("fault"), Status::MpsClientTerminated);
  EXPECT_EQ(victim->status("fault"), Status::MpsClientTerminated);
  const auto late = box_.client();
  EXPECT_EQ(late->status("open"), Status::MpsServerNotReady);
  EXPECT_EQ(command("get_server_status " + std::to_string(server())).text, "FAULT");
  culprit->kill();
  EXPECT_EQ(late->status("open"), Status::MpsServerNotReady);

  victim->kill();

  EXPECT_EQ(late->status("open"), Status::Ok);
  EXPECT_EQ(command("get_server_status " + std::to_string(server())).text, "ACTIVE");
}

TEST_F(SimMpsTest, ATerminatedClientLeavesTheOthersAlone) {
  const auto first = box_.openedClient();
  const auto second = box_.openedClient();
  ASSERT_FALSE(
      command("terminate_client " + std::to_string(server()) + " " + std::to_string(first->pid())).failed);
  EXPECT_EQ(first->status("fault"), Status::MpsClientTerminated);
  EXPECT_EQ(second->status("fault"), Status::Ok);
}

TEST_F(SimMpsTest, AnotherUsersClientWaitsUntilTheFirstUsersHaveLeft) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may become another user";
  const auto mine = box_.openedClient();
  const auto theirs = box_.client();
  ASSERT_EQ(theirs->status("user " + std::to_string(kNobody)), Status::Ok);
  theirs->say("open");
  EXPECT_EQ(theirs->hear(std::chrono::milliseconds(300)), "");

  mine->kill();

  EXPECT_EQ(theirs->hear(), "0 40");
}

TEST_F(SimMpsTest, ClientsOfTwoUsersThatComeAtOnceAreBothServedInTurn) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may become another user";
  const auto mine = box_.client();
  const auto theirs = box_.client();
  ASSERT_EQ(theirs->status("user " + std::to_string(kNobody)), Status::Ok);
  mine->say("open");
  theirs->say("open");

  std::string heard = mine->hear(std::chrono::seconds(5));
  const bool mine_first = !heard.empty();
  if (!mine_first) heard = theirs->hear(std::chrono::seconds(5));
  ASSERT_EQ(heard, "0 40");
  (mine_first ? mine : theirs)->kill();
  EXPECT_EQ((mine_first ? theirs : mine)->hear(), "0 40");
}

TEST_F(SimMpsTest, OnlyTheDaemonsUserAndRootMayGiveCommands) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may become another user";
  Child control(
      {"setpriv", "--reuid", std::to_string(kNobody), "--clear-groups", program("nvidia-cuda-mps-control")});
  control.say("quit");
  EXPECT_NE(control.end(), 0);
  EXPECT_FALSE(command("get_server_list").failed);
}

TEST_F(SimMpsTest, QuitWaitsForTheClients) {
  const auto client = box_.openedClient();
  Child control({program("nvidia-cuda-mps-control")});
  control.say("quit");
  control.closeInput();
  EXPECT_EQ(daemon_.hear(std::chrono::milliseconds(300)), "");
  EXPECT_EQ(client->status("fault"), Status::Ok);

  client->kill();

  EXPECT_EQ(control.end(), 0);
  EXPECT_EQ(daemon_.end(), 0);
}

TEST_F(SimMpsTest, QuitWithATimeoutTerminatesTheClientsThen) {
  const auto client = box_.openedClient();
  EXPECT_FALSE(command("quit -t 0").failed);
  EXPECT_EQ(daemon_.end(), 0);
  EXPECT_EQ(client->status("fault"), Status::MpsClientTerminated);
}

TEST_F(SimMpsTest, AForcedShutdownOfTheServerTerminatesItsClientsAndANewOneStarts) {
  const auto client = box_.openedClient();
  const pid_t before = server();
  ASSERT_FALSE(command("shutdown_server " + std::to_string(before) + " -f").failed);
  EXPECT_EQ(box_.client()->ask("open"), "0 40");
  EXPECT_EQ(client->status("fault"), Status::MpsClientTerminated);
  EXPECT_NE(server(), before);
}

TEST_F(SimMpsTest, AKilledServerTakesItsClientsWithItAndANewOneStarts) {
  const auto client = box_.openedClient();
  ::kill(server(), SIGKILL);
  // Until the daemon has noticed, whoever comes is told that the server is not ready (CUDA's 807), as in
  // reality.
  const std::string not_ready = std::to_string(static_cast<int>(Status::MpsServerNotReady));
  std::string answer = not_ready;
  for (int i = 0; i < 500 && answer == not_ready; ++i) {
    answer = box_.client()->ask("open");
    if (answer == not_ready) ::usleep(10'000);
  }
  EXPECT_EQ(answer, "0 40");
  EXPECT_EQ(client->status("fault"), Status::MpsClientTerminated);
}

TEST_F(SimMpsTest, AKilledControlDaemonTakesServerAndClientsWithItAndNewProcessesRunWithoutMps) {
  const auto client = box_.openedClient();
  const pid_t before = server();
  daemon_.kill();
  for (int i = 0; i < 500 && ::kill(before, 0) == 0; ++i) ::usleep(10'000);

  EXPECT_EQ(client->status("fault"), Status::MpsClientTerminated);
  const Nvml nvml;
  const auto late = box_.openedClient();
  EXPECT_EQ(nvml.processes(nvml.device(), true).count(late->pid()), 0U);
}

TEST_F(SimMpsTest, ASecondDaemonForTheSameDirectoryIsRefused) {
  Child second({program("nvidia-cuda-mps-control"), "-f"});
  EXPECT_NE(second.end(), 0);
  EXPECT_FALSE(command("get_server_list").failed);
}

TEST_F(SimMpsTest, AClientInAnotherPidNamespaceIsListedUnderThePidItHasHere) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may make a PID namespace";
  const Nvml nvml;
  Child client({"unshare", "-pf", "--kill-child", "--mount-proc", SIM_CLIENT});
  const std::string opened = client.ask("open");
  if (opened.empty()) GTEST_SKIP() << "unshare -pf does not work here";
  ASSERT_EQ(opened, "0 40");

  const auto clients = nvml.processes(nvml.device(), true);
  ASSERT_EQ(clients.size(), 1U);
  const pid_t pid = clients.begin()->first;
  EXPECT_EQ(command("get_client_list " + std::to_string(server())).text, std::to_string(pid));
  EXPECT_EQ(::kill(pid, 0), 0);
}

TEST_F(SimMpsTest, CommandsThatAreNotUnderstoodAreRefused) {
  for (const char* line :
       {"nonsense", "set_default_active_thread_percentage 0", "set_default_active_thread_percentage 101",
        "get_client_list 1", "set_default_device_pinned_mem_limit 7 1G", "quit now"}) {
    EXPECT_TRUE(command(line).failed) << line;
  }
}

}  // namespace
}  // namespace berth::sim::testing
