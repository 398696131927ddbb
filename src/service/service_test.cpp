#include "service/service.h"

#include <algorithm>
#include <utility>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/service_testing.h"

namespace berth::service {
namespace {

using testing::Box;
using testing::job;
using testing::visible;

constexpr DryRun kReally = DryRun::No;

TEST(ServiceTest, A10TwoJobsThatNameOneGpuShareItAndGiveItBackWhenBothHaveEnded) {
  Box box(1);
  const auto applied =
      box.service->apply(job("a", visible("0")) + "---\n" + job("b", visible("0")), "f", kReally);
  ASSERT_TRUE(applied) << applied.error().message;
  box.settle();
  EXPECT_EQ(box.operation(*applied).state, Operation::State::Succeeded);
  EXPECT_EQ(box.owners(), "local");
  EXPECT_EQ(box.state().berths.size(), 2U);

  box.engine.exitContainer(*box.engine.idOf("berth-a-0-c"), 0);
  box.settle();
  EXPECT_EQ(box.stateOf("a"), "succeeded");
  EXPECT_EQ(box.owners(), "local");
  box.engine.exitContainer(*box.engine.idOf("berth-b-0-c"), 0);
  box.settle();
  EXPECT_EQ(box.owners(), "free");
  EXPECT_TRUE(box.state().berths.empty());
}

TEST(ServiceTest, TheContainerGetsTheEditsOfItsGpu) {
  Box box(2);
  ASSERT_TRUE(box.service->apply(job("a", visible("1")), "f", kReally));
  box.settle();
  const auto config = box.engine.configOf("berth-a-0-c");
  ASSERT_TRUE(config);
  const std::pair<std::string, std::string> expected{"NVIDIA_VISIBLE_DEVICES", "GPU-00000001"};
  EXPECT_NE(std::ranges::find(config->env, expected), config->env.end());
}

TEST(ServiceTest, B13ARefusedFileChangesNothingAndNamesTheHolder) {
  Box box(1);
  ASSERT_TRUE(box.service->apply(job("holder", "", "nvidia.com/gpu: 1"), "f", kReally));
  box.settle();
  const auto before = box.desk->book();
  const auto refused =
      box.service->apply(job("first", "") + "---\n" + job("second", visible("0")), "f", kReally);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Refused);
  ASSERT_FALSE(refused.error().details.empty());
  EXPECT_NE(refused.error().details.front().message.find("holder"), std::string::npos)
      << refused.error().details.front().message;
  EXPECT_EQ(box.desk->book(), before) << "not even the first, which asks for no GPU";
}

TEST(ServiceTest, B17ADryRunSaysTheSameAndDoesNothing) {
  Box box(1);
  const auto before = box.desk->book();
  const auto planned = box.service->reserve("vm1", 1, DryRun::Yes);
  ASSERT_TRUE(planned);
  EXPECT_EQ(planned->operation, "");
  EXPECT_EQ(box.desk->book(), before);
  const auto done = box.service->reserve("vm1", 1, kReally);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->changes, planned->changes);
}

TEST(ServiceTest, AnImageThatIsNotThereIsSaidBeforeAnythingIsGranted) {
  Box box(1);
  std::string text = job("a", visible("0"));
  text.replace(text.find("image: image"), 12, "image: other");
  const auto result = box.service->apply(text, "pods.yaml", kReally);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::NotFound);
  EXPECT_EQ(result.error().message.find("pods.yaml:"), 0U) << result.error().message;
  EXPECT_EQ(box.stateOf("a"), "gone");
}

TEST(ServiceTest, AnApplyWhoseContainerCannotBeStartedIsUndoneAndSaysWhy) {
  Box box(1);
  box.engine.failNext(container::EngineCall::Start, {ErrorCode::Io, "no such device", {}, {}});
  const auto applied =
      box.service->apply(job("a", visible("0")) + "---\n" + job("b", visible("0")), "f", kReally);
  ASSERT_TRUE(applied);
  box.settle();
  EXPECT_EQ(box.operation(*applied).state, Operation::State::Failed);
  EXPECT_NE(box.operation(*applied).error->message.find("no such device"), std::string::npos);
  EXPECT_EQ(box.stateOf("a"), "gone");
  EXPECT_EQ(box.stateOf("b"), "gone");
  EXPECT_EQ(box.owners(), "free");
  EXPECT_EQ(box.engine.containerCount(), 0U);
}

TEST(ServiceTest, AContainerWithoutItsGpuFilesDoesNotRun) {
  Box box(1);
  box.gpus.verifies = false;
  const auto applied = box.service->apply(job("a", visible("0")), "f", kReally);
  ASSERT_TRUE(applied);
  box.settle();
  EXPECT_EQ(box.operation(*applied).state, Operation::State::Failed);
  EXPECT_NE(box.operation(*applied).error->message.find("/lib/libcuda.so.1 is not /host/libcuda.so.1"),
            std::string::npos)
      << box.operation(*applied).error->message;
  EXPECT_EQ(box.stateOf("a"), "gone");
  EXPECT_EQ(box.engine.containerCount(), 0U) << "it was started, and stopped again";
  EXPECT_EQ(box.owners(), "free");
}

/// A child that has ended and that nobody has reaped yet, as a container's process is until its monitor runs.
class Zombie {
 public:
  Zombie() : pid_(::fork()) {
    if (pid_ == 0) ::_exit(0);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  Zombie(const Zombie&) = delete;
  Zombie& operator=(const Zombie&) = delete;
  ~Zombie() { ::waitpid(pid_, nullptr, 0); }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

TEST(ServiceTest, AnEndThatTheEngineHasNotNoticedYetIsLookedForAgainEachTime) {
  Box box(1);
  ASSERT_TRUE(box.service->apply(job("a", visible("0")), "f", kReally));
  box.settle();
  const Zombie ended;
  box.engine.setProcess(*box.engine.idOf("berth-a-0-c"), ended.pid());
  for (int look = 0; look < 3; ++look) {
    box.runner->tend("a");
    EXPECT_EQ(box.stateOf("a"), "running");
    // The watch calls back on its own thread, the first time.
    const int before = box.asked_again;
    box.runner->tend("a");
    EXPECT_GT(box.asked_again, before) << "look " << look;
  }
  box.engine.exitContainer(*box.engine.idOf("berth-a-0-c"), 0);
  box.settle();
  EXPECT_EQ(box.stateOf("a"), "succeeded");
}

TEST(ServiceTest, AContainerThatEndedBeforeItCouldBeLookedIntoHasStarted) {
  Box box(1);
  const Zombie ended;
  box.engine.startAs(ended.pid());
  box.gpus.verifies = false;
  const auto applied = box.service->apply(job("a", visible("0")), "f", kReally);
  ASSERT_TRUE(applied);
  box.settle();
  EXPECT_EQ(box.stateOf("a"), "running");
  box.engine.exitContainer(*box.engine.idOf("berth-a-0-c"), 0);
  box.settle();
  EXPECT_EQ(box.stateOf("a"), "succeeded");
}

TEST(ServiceTest, ANameThatIsTakenIsRefusedAndTheSameFileIsUnchanged) {
  Box box(2);
  ASSERT_TRUE(box.service->apply(job("a", visible("0")), "f", kReally));
  box.settle();
  const auto again = box.service->apply(job("a", visible("0")), "g", kReally);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->warnings.size(), 1U);
  const auto other = box.service->apply(job("a", visible("1")), "f", kReally);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().reason, "NameTaken");
}

TEST(ServiceTest, DeletingStopsRemovesAndFrees) {
  Box box(1);
  const std::string text = job("a", visible("0"));
  ASSERT_TRUE(box.service->apply(text, "f", kReally));
  box.settle();
  const auto deleted = box.service->deleteManifest(text, "f", kReally);
  ASSERT_TRUE(deleted);
  box.settle();
  EXPECT_EQ(box.operation(*deleted).state, Operation::State::Succeeded);
  EXPECT_EQ(box.stateOf("a"), "gone");
  EXPECT_EQ(box.engine.containerCount(), 0U);
  EXPECT_EQ(box.owners(), "free");
  EXPECT_EQ(box.service->deleteManifest(text, "f", kReally).error().code, ErrorCode::NotFound);
}

TEST(ServiceTest, AStoppedWorkloadGivesItsGpuAwayAndNeedsOneToStart) {
  Box box(1);
  ASSERT_TRUE(box.service->apply(job("a", "", "nvidia.com/gpu: 1"), "f", kReally));
  box.settle();
  ASSERT_TRUE(box.service->stopWorkload("a", kReally));
  box.settle();
  EXPECT_EQ(box.stateOf("a"), "stopped");
  ASSERT_TRUE(box.service->reserve("vm1", 1, kReally));
  EXPECT_EQ(box.service->startWorkload("a", kReally).error().code, ErrorCode::Refused);
  ASSERT_TRUE(box.service->unreserve("vm1", kReally));
  ASSERT_TRUE(box.service->startWorkload("a", kReally));
  box.settle();
  EXPECT_EQ(box.stateOf("a"), "running");
}

TEST(ServiceTest, A16SwitchingMpsUnderRunningContainersIsRefusedUnlessTheyMayBeRestarted) {
  Box box(1);
  ASSERT_TRUE(box.service->apply(job("a", visible("0")), "f", kReally));
  box.settle();
  EXPECT_EQ(box.service->switchMps(true, std::nullopt, false, kReally).error().code, ErrorCode::Refused);
  const auto switched = box.service->switchMps(true, std::nullopt, true, kReally);
  ASSERT_TRUE(switched) << switched.error().message;
  box.settle();
  EXPECT_EQ(box.operation(*switched).state, Operation::State::Succeeded);
  EXPECT_EQ(box.stateOf("a"), "running");
  const ContainerRecord container = box.desk->book()->workloads.at("a")->containers.front();
  EXPECT_EQ(container.sharing->mode, ledger::Mode::Mps);
  EXPECT_EQ(container.attempt, 2);
}

TEST(ServiceTest, UnderMpsAContainerThatRunsAsAnotherUserThanRootIsRefusedWithTheReason) {
  const std::string as_user =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  securityContext: {runAsUser: 1000}\n"
      "  containers:\n    - {name: c, image: image, env: [" +
      visible("0") + "]}\n";
  Box box(1);
  ASSERT_TRUE(box.service->apply(as_user, "f", kReally));
  box.settle();
  EXPECT_EQ(box.service->switchMps(true, std::nullopt, true, kReally).error().reason, "MpsUser");
  ASSERT_TRUE(box.service->deleteWorkload("a", kReally));
  box.settle();
  ASSERT_TRUE(box.service->switchMps(true, std::nullopt, true, kReally));
  EXPECT_EQ(box.service->apply(as_user, "f", kReally).error().reason, "MpsUser");
}

TEST(ServiceTest, A16SwitchingMpsForTheDeviceLeavesALostGpuAloneAndSaysSo) {
  Box box(2);
  ASSERT_TRUE(box.desk->change([](Draft& draft) -> Result<void> {
    ledger::Gpu lost = draft.book.state.gpus[0];
    lost.health = ledger::Health::Lost;
    draft.putGpu(lost);
    return {};
  }));
  const auto started = box.service->switchMps(true, std::nullopt, false, kReally);
  ASSERT_TRUE(started) << started.error().message;
  ASSERT_EQ(started->warnings.size(), 1U);
  EXPECT_NE(started->warnings[0].find("GPU 0 is left alone: it is lost"), std::string::npos);
  EXPECT_EQ(box.state().gpus[0].mode, ledger::Mode::TimeSlice);
  EXPECT_EQ(box.state().gpus[1].mode, ledger::Mode::Mps);
  const auto named = box.service->switchMps(true, "0", false, kReally);
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().reason, "GpuLost");
}

/// A Pod whose container has an emptyDir.
std::string podWithScratch(const std::string& name) {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
         "}\nspec:\n  containers:\n    - name: c\n      image: image\n"
         "      volumeMounts: [{name: scratch, mountPath: /scratch}]\n"
         "  volumes: [{name: scratch, emptyDir: {}}]\n";
}

using Names = std::vector<std::string>;

TEST(ServiceTest, AnEmptyDirEndsWithItsPod) {
  Box box(1);
  ASSERT_TRUE(box.service->apply(podWithScratch("a") + "---\n" + podWithScratch("b"), "f", kReally));
  box.settle();
  EXPECT_EQ(box.engine.volumeNames(), (Names{"berth-a-0-scratch", "berth-b-0-scratch"}));
  ASSERT_TRUE(box.service->deleteWorkload("a", kReally));
  box.settle();
  EXPECT_EQ(box.engine.volumeNames(), Names{"berth-b-0-scratch"});
}

TEST(ServiceTest, AnEmptyDirOutlivesARestartOfItsContainerAndBeginsEmptyInAPodThatIsStartedAgain) {
  Box box(1);
  ASSERT_TRUE(box.service->apply(podWithScratch("a"), "f", kReally));
  box.settle();
  const auto removals = [&] {
    const std::vector<std::string> calls = box.engine.calls();
    return std::ranges::count(calls, "remove volume berth-a-0-scratch");
  };
  const auto at_first = removals();
  box.engine.exitContainer(*box.engine.idOf("berth-a-0-c"), 1);
  box.settle();
  EXPECT_EQ(box.desk->book()->workloads.at("a")->containers.front().attempt, 2);
  EXPECT_EQ(removals(), at_first);
  ASSERT_TRUE(box.service->stopWorkload("a", kReally));
  box.settle();
  ASSERT_TRUE(box.service->startWorkload("a", kReally));
  box.settle();
  EXPECT_EQ(removals(), at_first + 1);
  EXPECT_EQ(box.engine.volumeNames(), Names{"berth-a-0-scratch"});
}

TEST(ServiceTest, AVolumeThatNoWorkloadHasIsRemovedWithTheOrphans) {
  Box box(1);
  ASSERT_TRUE(box.service->apply(podWithScratch("a"), "f", kReally));
  box.settle();
  for (const char* instance : {"test", "another daemon's"}) {
    ASSERT_TRUE(box.engine.createVolume({std::string("berth-gone-0-") + instance,
                                         {{"dev.berth.instance", instance}, {"dev.berth.pod", "gone/0"}}}));
  }
  ASSERT_TRUE(box.runner->removeOrphans());
  EXPECT_EQ(box.engine.volumeNames(), (Names{"berth-a-0-scratch", "berth-gone-0-another daemon's"}));
}

TEST(ServiceTest, B8ARestartFindsEverythingAsItWasAndAdoptsWhatRuns) {
  Box box(2);
  ASSERT_TRUE(box.service->reserve("vm1", 1, kReally));
  ASSERT_TRUE(box.service->apply(job("a", visible("1")), "f", kReally));
  box.settle();
  const ledger::State before = box.state();
  box.boot();
  EXPECT_EQ(box.state(), before);
  box.settle();
  EXPECT_EQ(box.stateOf("a"), "running");
  EXPECT_EQ(box.engine.containerCount(), 1U) << "the running container was taken up, not started again";
  EXPECT_EQ(box.desk->book()->workloads.at("a")->containers.front().attempt, 1);
}

TEST(ServiceTest, AStartThatWasCutOffByACrashIsTakenUp) {
  Box box(1);
  const auto applied = box.service->apply(job("a", visible("0")), "f", kReally);
  ASSERT_TRUE(applied);
  box.boot();  // Before anything was started.
  EXPECT_EQ(box.operation(*applied).state, Operation::State::Running);
  box.settle();
  EXPECT_EQ(box.operation(*applied).state, Operation::State::Succeeded);
  EXPECT_EQ(box.stateOf("a"), "running");
}

TEST(ServiceTest, AContainerNoWorkloadKnowsIsRemovedAtTheStart) {
  Box box(1);
  container::ContainerConfig config;
  config.name = "berth-left-0-c";
  config.image = "image";
  config.labels = {{"dev.berth.instance", "test"}, {"dev.berth.container", "left/0/c"}};
  ASSERT_TRUE(box.engine.create(config));
  config.name = "someone-elses";
  config.labels = {{"dev.berth.instance", "other"}};
  ASSERT_TRUE(box.engine.create(config));
  ASSERT_TRUE(box.runner->removeOrphans());
  EXPECT_FALSE(box.engine.idOf("berth-left-0-c"));
  EXPECT_TRUE(box.engine.idOf("someone-elses"));
}

TEST(ServiceTest, WhileTheEngineIsAwayNothingIsForgottenAndAfterwardsItGoesOn) {
  Box box(1);
  const auto applied = box.service->apply(job("a", visible("0")), "f", kReally);
  ASSERT_TRUE(applied);
  box.engine.setUnavailable(true);
  box.settle();
  EXPECT_EQ(box.operation(*applied).state, Operation::State::Running);
  box.engine.setUnavailable(false);
  box.settle();
  EXPECT_EQ(box.stateOf("a"), "running");
}

TEST(ServiceTest, A4TheOrderOfVmsAndKubernetesHasItsOutcomes) {
  Box box(2);
  ASSERT_TRUE(box.service->reserve("vm1", 1, kReally));
  ASSERT_TRUE(box.service->enableKubernetes(kReally));
  EXPECT_EQ(box.owners(), "vm,kubernetes");
  const auto third = box.service->reserve("vm2", 1, kReally);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().reason, "InsufficientGpu");
  EXPECT_EQ(third.error().details.size(), 2U) << "one for each GPU that was considered";
}

TEST(ServiceTest, B5UnderElasticTheThirdStepSucceeds) {
  Box box(2, arbiter::Arbitration::Elastic);
  ASSERT_TRUE(box.service->reserve("vm1", 1, kReally));
  ASSERT_TRUE(box.service->enableKubernetes(kReally));
  EXPECT_TRUE(box.service->reserve("vm2", 1, kReally));
  EXPECT_EQ(box.owners(), "vm,vm");
}

TEST(ServiceTest, B18ContainersUseTheClustersGpusWhileNoKubeletIsAttached) {
  Box box(1);
  ASSERT_TRUE(box.service->enableKubernetes(kReally));
  ASSERT_TRUE(box.service->apply(job("a", visible("0")), "f", kReally));
  box.settle();
  EXPECT_EQ(box.owners(), "kubernetes");
  ASSERT_TRUE(box.service->disableKubernetes(kReally));
  EXPECT_EQ(box.owners(), "local") << "disabling stops nothing";
  EXPECT_EQ(box.stateOf("a"), "running");
}

TEST(ServiceTest, BadNamesAndCountsAreInvalid) {
  Box box(1);
  EXPECT_EQ(box.service->reserve("VM 1", 1, kReally).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(box.service->reserve("vm1", 0, kReally).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(box.service->setMode("7", ledger::Mode::Mps, false, kReally).error().code, ErrorCode::NotFound);
  EXPECT_EQ(box.service->unreserve("vm1", kReally).error().code, ErrorCode::NotFound);
}

TEST(ServiceTest, EveryChangeLeavesAnEvent) {
  Box box(1);
  ASSERT_TRUE(box.service->reserve("vm1", 1, kReally));
  const auto events = box.desk->events(0, 100);
  ASSERT_TRUE(events);
  ASSERT_FALSE(events->empty());
  EXPECT_EQ(events->front().kind, "gpu.owner");
  EXPECT_TRUE(box.desk->events(events->back().seq, 100)->empty());
}

}  // namespace
}  // namespace berth::service
