#include "service/supervisor.h"

#include <utility>

#include <gtest/gtest.h>

namespace berth::service {
namespace {

using manifest::Kind;
using manifest::RestartPolicy;
using std::chrono::seconds;

const WallTime kStart = WallTime{} + std::chrono::hours(1000);

/// A small language: a workload, what its containers do, and what the rules make of it.
class Play {
 public:
  explicit Play(Kind kind, RestartPolicy restart) {
    workload.spec.name = WorkloadName("w");
    workload.spec.kind = kind;
    workload.spec.restart = restart;
    workload.spec.containers.resize(1);
    workload.spec.containers[0].name = "c";
    workload.created = kStart;
    world.now = kStart;
  }

  void begin() { workload.containers = initialContainers(workload.spec); }

  /// Carries steps out until Idle or Forget; starting a container makes it run.
  Step settle() {
    for (int i = 0; i < 100; ++i) {
      const Step step = nextStep(workload, world);
      if (std::holds_alternative<Idle>(step) || std::holds_alternative<Forget>(step)) return step;
      workload = after(std::move(workload), step, world.now);
      if (const auto* start = std::get_if<StartContainer>(&step)) run(start->name);
      if (const auto* stop = std::get_if<StopContainer>(&step)) world.containers.erase(stop->name);
    }
    ADD_FAILURE() << "the rules do not come to rest";
    return Idle{};
  }

  void exits(const std::string& name, int code) {
    world.containers[name] = {Seen::State::NotRunning, code, ""};
  }
  bool runs(const std::string& name) const { return at(name).phase == Phase::Running; }
  const ContainerRecord& at(const std::string& name) const {
    for (const ContainerRecord& c : workload.containers) {
      if (c.name == name) return c;
    }
    throw std::out_of_range(name);
  }

  WorkloadRecord workload;
  World world;

 private:
  void run(const std::string& name) {
    for (ContainerRecord& c : workload.containers) {
      if (c.name != name) continue;
      c.phase = Phase::Running;
      c.started = world.now;
      const auto sharing = world.sharing.find(name);
      if (sharing != world.sharing.end()) c.sharing = {sharing->second.mode, *sharing->second.generation};
    }
    world.containers[name] = {Seen::State::Running, 0, ""};
  }
};

TEST(SupervisorTest, AJobThatEndsWellHasSucceededAndGivesItsBerthBack) {
  Play play(Kind::Job, RestartPolicy::Never);
  play.begin();
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c"));
  EXPECT_EQ(stateName(play.workload), "running");

  play.exits("w/0/c", 0);
  play.settle();
  EXPECT_EQ(stateName(play.workload), "succeeded");
  EXPECT_EQ(play.at("w/0/c").phase, Phase::Done);
  EXPECT_EQ(play.at("w/0/c").exit_code, 0);
}

TEST(SupervisorTest, AJobIsTriedAgainUntilItsBackoffLimitIsPassed) {
  Play play(Kind::Job, RestartPolicy::Never);
  play.workload.spec.backoff_limit = 1;
  play.begin();
  play.settle();
  play.exits("w/0/c", 3);
  const Step waits = play.settle();
  EXPECT_EQ(std::get<Idle>(waits).until, kStart + seconds(10));
  EXPECT_EQ(stateName(play.workload), "degraded");

  play.world.now += seconds(10);
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c"));
  play.exits("w/0/c", 3);
  play.settle();
  EXPECT_EQ(stateName(play.workload), "failed");
  EXPECT_EQ(play.workload.message, "BackoffLimitExceeded: w/0/c exited with status 3");
}

TEST(SupervisorTest, ABackoffLimitOfZeroMeansOneTry) {
  Play play(Kind::Job, RestartPolicy::Never);
  play.workload.spec.backoff_limit = 0;
  play.begin();
  play.settle();
  play.exits("w/0/c", 1);
  play.settle();
  EXPECT_EQ(stateName(play.workload), "failed");
}

TEST(SupervisorTest, AJobRunsItsCompletionsInParallelSlots) {
  Play play(Kind::Job, RestartPolicy::Never);
  play.workload.spec.completions = 3;
  play.workload.spec.parallelism = 2;
  play.begin();
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c"));
  EXPECT_TRUE(play.runs("w/1/c"));

  play.exits("w/0/c", 0);
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c")) << "the third completion takes the free slot";
  play.exits("w/1/c", 0);
  play.settle();
  EXPECT_EQ(play.at("w/1/c").phase, Phase::Done) << "one left, and it runs: this slot's berth is free";
  play.exits("w/0/c", 0);
  play.settle();
  EXPECT_EQ(stateName(play.workload), "succeeded");
  EXPECT_EQ(play.workload.succeeded, 3);
}

TEST(SupervisorTest, AJobWithOnFailureRestartsInItsPodAndCountsThatAgainstTheLimit) {
  Play play(Kind::Job, RestartPolicy::OnFailure);
  play.workload.spec.backoff_limit = 1;
  play.begin();
  play.settle();
  play.exits("w/0/c", 1);
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c"));
  EXPECT_EQ(play.at("w/0/c").restarts, 1);
  play.exits("w/0/c", 1);
  play.settle();
  EXPECT_EQ(stateName(play.workload), "failed");
}

TEST(SupervisorTest, ADeploymentRestartsWithDoublingPausesThatEndWhenItRunsLong) {
  Play play(Kind::Deployment, RestartPolicy::Always);
  play.begin();
  play.settle();
  play.exits("w/0/c", 0);
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c")) << "the first restart is at once";
  play.exits("w/0/c", 0);
  EXPECT_EQ(std::get<Idle>(play.settle()).until, kStart + seconds(10));

  play.world.now += seconds(10);
  play.settle();
  play.world.now += std::chrono::minutes(10);
  play.exits("w/0/c", 0);
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c")) << "after ten minutes of running the pause starts over";
}

TEST(SupervisorTest, APodWithTwoContainersHasEndedWhenBothHave) {
  Play play(Kind::Pod, RestartPolicy::Never);
  play.workload.spec.containers.resize(2);
  play.workload.spec.containers[1].name = "d";
  play.begin();
  play.settle();
  play.exits("w/0/c", 0);
  play.settle();
  EXPECT_EQ(play.workload.outcome, Outcome::None);
  play.exits("w/0/d", 2);
  play.settle();
  EXPECT_EQ(play.workload.outcome, Outcome::Failed);
  EXPECT_EQ(play.workload.message, "w/0/d exited with status 2");
}

TEST(SupervisorTest, AContainerTheEngineLostIsTreatedAsAnExit) {
  Play play(Kind::Pod, RestartPolicy::Never);
  play.begin();
  play.settle();
  play.world.containers["w/0/c"] = {Seen::State::Missing, 0, ""};
  play.settle();
  EXPECT_EQ(play.workload.outcome, Outcome::Failed);
  EXPECT_EQ(play.at("w/0/c").exit_code, 137);
}

TEST(SupervisorTest, B16AChangeOfSharingRestartsTheContainerOnceTheNewSharingIsReady) {
  Play play(Kind::Job, RestartPolicy::Never);
  play.begin();
  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::TimeSlice, 0};
  play.settle();
  ASSERT_TRUE(play.runs("w/0/c"));

  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::Mps, std::nullopt};
  play.settle();
  EXPECT_EQ(play.at("w/0/c").phase, Phase::Waiting) << "stopped first: MPS cannot start beside it";
  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::Mps, 1};
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c"));
  EXPECT_EQ(play.at("w/0/c").attempt, 2);
  EXPECT_EQ(play.at("w/0/c").restarts, 0) << "the operator's restart is not the program's failure";
  EXPECT_EQ(play.at("w/0/c").sharing->mode, ledger::Mode::Mps);
}

TEST(SupervisorTest, WhileSharingIsNotReadyNothingStarts) {
  Play play(Kind::Job, RestartPolicy::Never);
  play.begin();
  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::Mps, std::nullopt};
  play.settle();
  EXPECT_EQ(stateName(play.workload), "pending");
}

/// A pod that runs under generation 1 of MPS, which ends by itself; then generation 2 is there.
Play afterALostGeneration(RestartPolicy restart) {
  Play play(Kind::Pod, restart);
  play.begin();
  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::Mps, 1};
  play.settle();
  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::Mps, std::nullopt};
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c")) << "it may live on until the new server is there";
  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::Mps, 2};
  play.settle();
  return play;
}

TEST(SupervisorTest, AClientWhoseGenerationOfMpsEndedIsStartedAgainWhereItsPolicySaysSo) {
  for (const RestartPolicy restart : {RestartPolicy::Always, RestartPolicy::OnFailure}) {
    const Play play = afterALostGeneration(restart);
    EXPECT_TRUE(play.runs("w/0/c"));
    EXPECT_EQ(play.at("w/0/c").restarts, 1);
    EXPECT_EQ(play.at("w/0/c").sharing->mps_generation, 2);
  }
}

TEST(SupervisorTest, AClientWhoseGenerationOfMpsEndedHasFailedWhereItIsNeverRestarted) {
  const Play play = afterALostGeneration(RestartPolicy::Never);
  EXPECT_EQ(play.at("w/0/c").attempt, 1);
  EXPECT_EQ(stateName(play.workload), "failed");
  EXPECT_NE(play.workload.message.find("the MPS server it was a client of has ended"), std::string::npos);
}

TEST(SupervisorTest, ClientsOfAnEndedGenerationMakeWayForTheNextWhichThenTakesThemBack) {
  Play play(Kind::Pod, RestartPolicy::Always);
  play.begin();
  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::Mps, 1};
  play.settle();
  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::Mps, std::nullopt, true};
  play.settle();
  EXPECT_EQ(play.at("w/0/c").phase, Phase::Waiting);
  EXPECT_EQ(play.at("w/0/c").restarts, 1);
  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::Mps, 2};
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c"));
}

TEST(SupervisorTest, AClientThatIsToHaveOtherLimitsIsStartedAgainWhateverItsPolicy) {
  Play play(Kind::Pod, RestartPolicy::Never);
  play.begin();
  play.world.sharing["w/0/c"] = Sharing{ledger::Mode::Mps, 1};
  play.settle();
  play.workload.containers[0].sharing->mps_generation = kOutdatedGeneration;
  play.settle();
  EXPECT_TRUE(play.runs("w/0/c"));
  EXPECT_EQ(play.at("w/0/c").restarts, 0);
}

TEST(SupervisorTest, AStartThatWasCutOffIsDoneAgain) {
  Play play(Kind::Job, RestartPolicy::Never);
  play.begin();
  play.workload = after(play.workload, StartContainer{"w/0/c"}, kStart);
  EXPECT_TRUE(std::holds_alternative<StartContainer>(nextStep(play.workload, play.world)));
}

TEST(SupervisorTest, StoppingEndsWhatRunsAndGivesTheBerthsBack) {
  Play play(Kind::Deployment, RestartPolicy::Always);
  play.workload.spec.replicas = 2;
  play.begin();
  play.settle();
  play.workload.desired = Desired::Stopped;
  play.settle();
  EXPECT_EQ(stateName(play.workload), "stopped");
  for (const ContainerRecord& c : play.workload.containers) EXPECT_EQ(c.phase, Phase::Done);
}

TEST(SupervisorTest, DeletingStopsBeforeItForgets) {
  Play play(Kind::Pod, RestartPolicy::Always);
  play.begin();
  play.settle();
  play.workload.desired = Desired::Deleted;
  EXPECT_TRUE(std::holds_alternative<StopContainer>(nextStep(play.workload, play.world)));
  EXPECT_TRUE(std::holds_alternative<Forget>(play.settle()));
}

TEST(SupervisorTest, AJobPastItsDeadlineIsStoppedAndFailed) {
  Play play(Kind::Job, RestartPolicy::Never);
  play.workload.spec.active_deadline_s = 60;
  play.begin();
  EXPECT_EQ(std::get<Idle>(play.settle()).until, kStart + seconds(60));
  play.world.now += seconds(60);
  play.settle();
  EXPECT_EQ(stateName(play.workload), "failed");
  EXPECT_EQ(play.at("w/0/c").phase, Phase::Done);
}

TEST(SupervisorTest, AModuleWithNoReplicasIsStopped) {
  Play play(Kind::IotEdgeModule, RestartPolicy::Never);
  play.workload.spec.replicas = 0;
  play.begin();
  EXPECT_TRUE(play.workload.containers.empty());
  EXPECT_EQ(stateName(play.workload), "stopped");
}

TEST(SupervisorTest, BackoffsDoubleUpToTheirLimits) {
  EXPECT_EQ(restartBackoff(0), seconds(0));
  EXPECT_EQ(restartBackoff(1), seconds(10));
  EXPECT_EQ(restartBackoff(5), seconds(160));
  EXPECT_EQ(restartBackoff(6), seconds(300));
  EXPECT_EQ(restartBackoff(1000), seconds(300));
  EXPECT_EQ(jobBackoff(6), seconds(320));
  EXPECT_EQ(jobBackoff(7), seconds(360));
}

}  // namespace
}  // namespace berth::service
