#include "sharing/mps/mps_plan.h"

#include <gtest/gtest.h>

namespace berth::sharing {
namespace {

using Pids = std::vector<std::int64_t>;

MpsObservation healthy(std::int64_t server, Pids clients) {
  return {true, true, server, MpsServerState::Active, std::move(clients)};
}

TEST(MpsPlanTest, AHealthyServerIsLeftAloneAndItsClientsAreRemembered) {
  const MpsDecision decision = decide({}, healthy(10, {1, 2}));
  EXPECT_EQ(decision.step, MpsStep::Keep);
  EXPECT_EQ(decision.memory.server, 10);
  EXPECT_EQ(decision.memory.clients, (Pids{1, 2}));
}

TEST(MpsPlanTest, ADeadDaemonEndsTheGenerationWithTheClientsLastSeen) {
  const MpsDecision decision = decide({10, {1, 2}, 0}, {});
  EXPECT_EQ(decision.step, MpsStep::EndGeneration);
  EXPECT_EQ(decision.victims, (Pids{1, 2}));
  EXPECT_EQ(decision.message, "the MPS control daemon has ended");
}

TEST(MpsPlanTest, SilenceIsForgivenTwiceAndNotTheThirdTime) {
  MpsObservation silent;
  silent.daemon_alive = true;
  MpsMemory memory{10, {1}, 0};
  for (int miss = 1; miss <= kForgivenMisses; ++miss) {
    const MpsDecision decision = decide(memory, silent);
    ASSERT_EQ(decision.step, MpsStep::Keep) << miss;
    memory = decision.memory;
  }
  EXPECT_EQ(memory.clients, (Pids{1})) << "still the victims, should it end";
  EXPECT_EQ(decide(memory, silent).step, MpsStep::EndGeneration);
  EXPECT_EQ(decide(memory, healthy(10, {1})).memory.missed, 0) << "an answer starts the count again";
}

TEST(MpsPlanTest, AFatalFaultTakesTheClientsOfBeforeAndNow) {
  MpsObservation faulty = healthy(10, {2, 3});
  faulty.server_state = MpsServerState::Fault;
  const MpsDecision decision = decide({10, {1, 2}, 0}, faulty);
  EXPECT_EQ(decision.step, MpsStep::EndGeneration);
  EXPECT_EQ(decision.victims, (Pids{1, 2, 3}));
}

TEST(MpsPlanTest, AServerThatVanishedUnderItsClientsEndsTheGeneration) {
  EXPECT_EQ(decide({10, {1}, 0}, healthy(0, {})).step, MpsStep::EndGeneration);
  EXPECT_EQ(decide({10, {1}, 0}, healthy(11, {})).step, MpsStep::EndGeneration) << "replaced by another";
  EXPECT_EQ(decide({10, {1}, 0}, healthy(11, {})).victims, (Pids{1}));
}

TEST(MpsPlanTest, AServerThatVanishedWithoutClientsIsStartedAgain) {
  EXPECT_EQ(decide({10, {}, 0}, healthy(0, {})).step, MpsStep::StartServer);
  EXPECT_EQ(decide({10, {}, 0}, healthy(11, {})).step, MpsStep::Keep);
}

TEST(MpsPlanTest, ClientsThatLeaveAreNoVictims) {
  EXPECT_EQ(decide({10, {1, 2}, 0}, healthy(10, {})).step, MpsStep::Keep);
}

TEST(MpsPlanTest, RetriesSlowDownToAMinute) {
  EXPECT_EQ(retryDelay(1), std::chrono::seconds(2));
  EXPECT_EQ(retryDelay(2), std::chrono::seconds(4));
  EXPECT_EQ(retryDelay(6), std::chrono::seconds(60));
  EXPECT_EQ(retryDelay(1000000), std::chrono::seconds(60));
}

}  // namespace
}  // namespace berth::sharing
