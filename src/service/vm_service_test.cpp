// Virtual machines through the whole service: A2 to A7, B5 to B8, B17.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/vm_testing.h"

namespace berth::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::job;
using testing::visible;
using testing::VmBox;
using vm::DomainState;
using vm::GpuPolicy;

std::string stateText(VmBox& box, const std::string& name) {
  return box.power(name) + " " + std::string(vm::armName(box.vm(name).provisioning));
}

// A4: 'V' a GPU VM, 'K' Kubernetes, 'v' a VM without a GPU.
struct Row {
  int gpus;
  std::string steps;
  std::string outcome;
  int kubernetes;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.gpus << " GPUs: " << row.steps; }

class VmOrderTest : public ::testing::TestWithParam<Row> {};

TEST_P(VmOrderTest, A4RealVmsComeOutAsOnTheAppliance) {
  VmBox box(GetParam().gpus);
  std::string outcome;
  for (const char step : GetParam().steps) {
    const std::string name = "vm" + std::to_string(outcome.size());
    const bool done = step == 'K' ? box.done(box.service->enableKubernetes(DryRun::No))
                                  : box.create(name, step == 'V' ? "One" : "Plain");
    outcome += done ? '+' : '-';
    EXPECT_EQ(box.exists(name), step != 'K' && done);
  }
  EXPECT_EQ(outcome, GetParam().outcome);
  int kubernetes = 0;
  for (const ledger::Gpu& gpu : box.state().gpus) {
    kubernetes += gpu.owner.kind == ledger::OwnerKind::Kubernetes ? 1 : 0;
  }
  EXPECT_EQ(kubernetes, GetParam().kubernetes);
}

INSTANTIATE_TEST_SUITE_P(A4, VmOrderTest,
                         ::testing::Values(Row{1, "VK", "++", 0}, Row{1, "KV", "+-", 1},
                                           Row{2, "VK", "++", 1}, Row{2, "VVK", "+++", 0},
                                           Row{2, "KV", "+-", 2}, Row{2, "VKV", "++-", 1},
                                           Row{1, "VV", "+-", 0}, Row{1, "Kv", "++", 1}));

TEST(VmServiceTest, ACreatedVmRunsWithItsGpuAndSaysWhatItIs) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1")) << box.refusal.message;
  EXPECT_EQ(stateText(box, "vm1"), "running Succeeded");
  EXPECT_EQ(box.domain("vm1"), DomainState::Running);
  EXPECT_THAT(box.handover.at_guests, ElementsAre(0));
  EXPECT_EQ(box.owners(), "vm");
  EXPECT_EQ(box.vm("vm1").accelerator, "tcg");
  const vm::VmSpec& spec = box.hypervisor.domains.at(vm::VmName("vm1")).spec;
  EXPECT_EQ(spec.vcpus, 2);
  EXPECT_THAT(spec.gpus, ElementsAre(PciAddress("0000:00:00.0")));
}

TEST(VmServiceTest, A7StopKeepsTheGpuAndStartFindsIt) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  ASSERT_TRUE(box.done(box.vms->stop("vm1", Force::No, DryRun::No)));
  EXPECT_EQ(stateText(box, "vm1"), "stopped Succeeded");
  EXPECT_EQ(box.domain("vm1"), DomainState::Off);
  EXPECT_EQ(box.owners(), "vm");
  ASSERT_TRUE(box.done(box.service->enableKubernetes(DryRun::No)));
  EXPECT_EQ(box.owners(), "vm");
  EXPECT_TRUE(box.done(box.vms->start("vm1", DryRun::No)));
  EXPECT_EQ(box.power("vm1"), "running");
}

TEST(VmServiceTest, B7AHeldGpuIsThereWhenTheVmStartsAgainWhateverCameMeanwhile) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  ASSERT_TRUE(box.done(box.vms->deallocate("vm1", Force::No, DryRun::No)));
  EXPECT_EQ(stateText(box, "vm1"), "deallocated Succeeded");
  ASSERT_TRUE(box.done(box.service->enableKubernetes(DryRun::No)));
  EXPECT_EQ(box.owners(), "vm");
  EXPECT_FALSE(box.create("vm2"));
  EXPECT_TRUE(box.done(box.vms->start("vm1", DryRun::No)));
}

TEST(VmServiceTest, A7AReleasedGpuIsGoneAndTheRefusalNamesItsHolder) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  ASSERT_TRUE(box.done(box.vms->setPolicy("vm1", GpuPolicy::Release, {}, DryRun::No)));
  ASSERT_TRUE(box.done(box.vms->deallocate("vm1", Force::No, DryRun::No)));
  EXPECT_EQ(box.owners(), "free");
  EXPECT_THAT(box.handover.at_guests, IsEmpty());
  ASSERT_TRUE(box.create("vm2"));
  EXPECT_FALSE(box.done(box.vms->start("vm1", DryRun::No)));
  EXPECT_EQ(box.refusal.code, ErrorCode::Refused);
  ASSERT_THAT(box.refusal.details, ::testing::SizeIs(1));
  EXPECT_EQ(box.refusal.details[0].message, "held by vm vm2");
  EXPECT_EQ(stateText(box, "vm1"), "deallocated Succeeded");
  ASSERT_TRUE(box.done(box.vms->remove("vm2", DryRun::No)));
  EXPECT_TRUE(box.done(box.vms->start("vm1", DryRun::No)));
}

TEST(VmServiceTest, B7ALentGpuThatNobodyUsesComesBackAtOnce) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  ASSERT_TRUE(box.done(box.vms->setPolicy("vm1", GpuPolicy::Lend, {}, DryRun::No)));
  ASSERT_TRUE(box.done(box.vms->deallocate("vm1", Force::No, DryRun::No)));
  EXPECT_EQ(box.owners(), "free");
  ASSERT_TRUE(box.done(box.service->enableKubernetes(DryRun::No)));
  EXPECT_EQ(box.owners(), "kubernetes");
  EXPECT_FALSE(box.create("vm2"));
  EXPECT_TRUE(box.done(box.vms->start("vm1", DryRun::No)));
  EXPECT_EQ(box.owners(), "vm");
}

/// vm1 has lent its GPU and a container uses it.
struct LentBox : VmBox {
  explicit LentBox(AtDeadline at_deadline) : VmBox(1) {
    EXPECT_TRUE(create("vm1"));
    EXPECT_TRUE(done(vms->setPolicy("vm1", GpuPolicy::Lend,
                                    RecallTerms{std::chrono::seconds(30), at_deadline}, DryRun::No)));
    EXPECT_TRUE(done(vms->deallocate("vm1", Force::No, DryRun::No)));
    EXPECT_TRUE(done(service->apply(job("web", visible("0")), "web.yaml", DryRun::No)));
  }
};

TEST(VmServiceTest, B7ALentGpuInUseIsCalledBackAndTheVmStartsWhenItsUserEnds) {
  LentBox box(AtDeadline::Stop);
  const auto accepted = box.vms->start("vm1", DryRun::No);
  ASSERT_TRUE(accepted);
  EXPECT_THAT(accepted->warnings,
              ElementsAre(HasSubstr("used by web/0/c; they have 30 s, then they are stopped")));
  box.settle();
  EXPECT_EQ(box.operation(*accepted).state, Operation::State::Running);
  EXPECT_EQ(box.power("vm1"), "starting");
  EXPECT_EQ(box.stateOf("web"), "running");
  EXPECT_FALSE(box.service->apply(job("late", visible("0")), "late.yaml", DryRun::No));
  ASSERT_TRUE(box.service->deleteWorkload("web", DryRun::No));
  box.settle();
  EXPECT_EQ(box.operation(*accepted).state, Operation::State::Succeeded);
  EXPECT_EQ(box.owners(), "vm");
}

TEST(VmServiceTest, B7AtTheEndOfTheNoticeTheUsersOfALentGpuAreStopped) {
  LentBox box(AtDeadline::Stop);
  const auto accepted = box.vms->start("vm1", DryRun::No);
  ASSERT_TRUE(accepted);
  box.settle();
  box.restart();  // The wait survives the daemon.
  box.clock.advance(std::chrono::seconds(31));
  box.settle();
  EXPECT_EQ(box.stateOf("web"), "stopped");
  EXPECT_EQ(box.power("vm1"), "running");
  EXPECT_EQ(box.operation(*accepted).state, Operation::State::Succeeded);
}

TEST(VmServiceTest, B7OrTheStartFailsAndTheUsersStay) {
  LentBox box(AtDeadline::Fail);
  const auto accepted = box.vms->start("vm1", DryRun::No);
  ASSERT_TRUE(accepted);
  box.clock.advance(std::chrono::seconds(31));
  box.settle();
  const Operation failed = box.operation(*accepted);
  EXPECT_EQ(failed.state, Operation::State::Failed);
  ASSERT_TRUE(failed.error);
  EXPECT_EQ(failed.error->reason, "GpuInUse");
  ASSERT_THAT(failed.error->details, ::testing::SizeIs(1));
  EXPECT_THAT(failed.error->details[0].message, HasSubstr("web/0/c"));
  EXPECT_EQ(box.stateOf("web"), "running");
  EXPECT_EQ(stateText(box, "vm1"), "deallocated Failed");
  // The loan goes on: others may come, and a later start is not hindered by the failed one.
  EXPECT_TRUE(box.service->apply(job("late", visible("0")), "late.yaml", DryRun::Yes));
  ASSERT_TRUE(box.done(box.service->deleteWorkload("web", DryRun::No)));
  EXPECT_TRUE(box.done(box.vms->start("vm1", DryRun::No)));
  EXPECT_EQ(stateText(box, "vm1"), "running Succeeded");
}

TEST(VmServiceTest, B7AChangeOfPolicyTakesEffectOnADeallocatedVm) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  ASSERT_TRUE(box.done(box.vms->deallocate("vm1", Force::No, DryRun::No)));
  ASSERT_TRUE(box.done(box.vms->setPolicy("vm1", GpuPolicy::Lend, {}, DryRun::No)));
  EXPECT_EQ(box.owners(), "free");
  EXPECT_THAT(box.state().loans, ::testing::SizeIs(1));
  ASSERT_TRUE(box.done(box.vms->setPolicy("vm1", GpuPolicy::Release, {}, DryRun::No)));
  EXPECT_THAT(box.state().loans, IsEmpty());
  ASSERT_TRUE(box.done(box.vms->setPolicy("vm1", GpuPolicy::Hold, {}, DryRun::No)));
  EXPECT_EQ(box.owners(), "vm");
  ASSERT_TRUE(box.done(box.vms->setPolicy("vm1", GpuPolicy::Release, {}, DryRun::No)));
  ASSERT_TRUE(box.create("vm2"));
  EXPECT_FALSE(box.done(box.vms->setPolicy("vm1", GpuPolicy::Hold, {}, DryRun::No)));
  EXPECT_EQ(box.vm("vm1").policy, GpuPolicy::Release);
}

TEST(VmServiceTest, B8AfterTheHostWentDownVmsThatRanRunAndOthersDoNot) {
  VmBox box(2);
  ASSERT_TRUE(box.create("ran"));
  ASSERT_TRUE(box.create("stopped", "Plain"));
  ASSERT_TRUE(box.create("away"));
  ASSERT_TRUE(box.done(box.vms->stop("stopped", Force::No, DryRun::No)));
  ASSERT_TRUE(box.done(box.vms->deallocate("away", Force::No, DryRun::No)));
  box.restart("boot-2");
  box.settle();
  EXPECT_EQ(box.domain("ran"), DomainState::Running);
  EXPECT_EQ(box.domain("stopped"), DomainState::Off);
  EXPECT_EQ(box.domain("away"), DomainState::Off);
  EXPECT_THAT(box.handover.at_guests, ElementsAre(0));
  EXPECT_EQ(box.owners(), "vm,vm");
}

TEST(VmServiceTest, A7AGuestThatPowersItselfOffIsStoppedAndKeepsItsGpu) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  box.hypervisor.domains.at(vm::VmName("vm1")).state = DomainState::Off;
  box.settle();
  EXPECT_EQ(stateText(box, "vm1"), "stopped Succeeded");
  EXPECT_EQ(box.owners(), "vm");
}

TEST(VmServiceTest, AStoppedVmThatSomebodyStartedInLibvirtRunsAndADeallocatedOneMayNot) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  ASSERT_TRUE(box.done(box.vms->stop("vm1", Force::No, DryRun::No)));
  box.hypervisor.domains.at(vm::VmName("vm1")).state = DomainState::Running;
  box.settle();
  EXPECT_EQ(stateText(box, "vm1"), "running Succeeded");
  ASSERT_TRUE(box.done(box.vms->deallocate("vm1", Force::No, DryRun::No)));
  box.hypervisor.domains.at(vm::VmName("vm1")).state = DomainState::Running;
  box.settle();
  EXPECT_EQ(box.domain("vm1"), DomainState::Off);
}

TEST(VmServiceTest, AGuestThatIgnoresShutdownIsEndedAtTheDeadline) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  box.hypervisor.domains.at(vm::VmName("vm1")).ignores_shutdown = true;
  ASSERT_TRUE(box.done(box.vms->stop("vm1", Force::Yes, DryRun::No)));
  EXPECT_EQ(box.domain("vm1"), DomainState::Off);
}

TEST(VmServiceTest, ADeletedVmLeavesNothing) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  ASSERT_TRUE(box.done(box.vms->remove("vm1", DryRun::No)));
  EXPECT_FALSE(box.exists("vm1"));
  EXPECT_THAT(box.hypervisor.domains, IsEmpty());
  EXPECT_THAT(box.files.made, IsEmpty());
  EXPECT_THAT(box.handover.at_guests, IsEmpty());
  EXPECT_EQ(box.owners(), "free");
  EXPECT_EQ(box.vms->stop("vm1", Force::No, DryRun::No).error().code, ErrorCode::NotFound);
}

TEST(VmServiceTest, BerthsNetworkGoesWithTheLastVmOnIt) {
  VmBox box(0);
  for (const char* name : {"vm1", "vm2"}) {
    VmRequest request = VmBox::request(name, "Plain");
    request.nics = {VmNic{}};
    ASSERT_TRUE(box.done(box.vms->create(request, DryRun::No)));
  }
  EXPECT_EQ(box.hypervisor.networks.size(), 1U);
  ASSERT_TRUE(box.done(box.vms->remove("vm1", DryRun::No)));
  EXPECT_EQ(box.hypervisor.networks.size(), 1U);
  ASSERT_TRUE(box.done(box.vms->remove("vm2", DryRun::No)));
  EXPECT_THAT(box.hypervisor.networks, IsEmpty());
}

TEST(VmServiceTest, AVmThatCannotBeMadeIsUndoneAndTheCallerToldWhy) {
  VmBox box(1);
  box.files.refusal = Error{ErrorCode::Refused, "the disk is full", "DiskFull", {}};
  EXPECT_FALSE(box.create("vm1"));
  EXPECT_EQ(box.refusal.reason, "DiskFull");
  EXPECT_FALSE(box.exists("vm1"));
  EXPECT_EQ(box.owners(), "free");
}

TEST(VmServiceTest, AStartThatFailsGoesBackToDeallocatedAndKeepsTheReason) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  ASSERT_TRUE(box.done(box.vms->setPolicy("vm1", GpuPolicy::Release, {}, DryRun::No)));
  ASSERT_TRUE(box.done(box.vms->deallocate("vm1", Force::No, DryRun::No)));
  box.handover.refusal = Error{ErrorCode::Io, "the group is not viable", {}, {}};
  EXPECT_FALSE(box.done(box.vms->start("vm1", DryRun::No)));
  EXPECT_EQ(stateText(box, "vm1"), "deallocated Failed");
  EXPECT_THAT(box.vm("vm1").message, HasSubstr("not viable"));
  EXPECT_EQ(box.owners(), "free");
  box.handover.refusal.reset();
  EXPECT_TRUE(box.done(box.vms->start("vm1", DryRun::No)));
}

TEST(VmServiceTest, LibvirtThatIsAwayRefusesVerbsAndLosesNothingThatWasBegun) {
  VmBox box(1);
  const Error away{ErrorCode::Unavailable, "no such socket", {}, {}};
  box.hypervisor.failures["list"] = away;
  EXPECT_FALSE(box.create("vm1"));
  EXPECT_EQ(box.refusal.reason, "HypervisorUnavailable");
  EXPECT_THAT(box.refusal.message, HasSubstr("libvirtUri"));
  box.hypervisor.failures["start"] = away;
  ASSERT_TRUE(box.create("vm1")) << "libvirtd restarts in the middle";
  EXPECT_EQ(box.power("vm1"), "running");
}

TEST(VmServiceTest, BadRequestsAreRefusedBeforeAnythingIsDone) {
  VmBox box(1);
  EXPECT_FALSE(box.create("Bad_Name"));
  EXPECT_EQ(box.refusal.code, ErrorCode::InvalidArgument);
  EXPECT_FALSE(box.create("vm1", "Nope"));
  EXPECT_EQ(box.refusal.reason, "UnknownSize");
  EXPECT_FALSE(box.create("vm1", "A2"));  // A6
  EXPECT_EQ(box.refusal.reason, "GpuModelMismatch");
  EXPECT_FALSE(box.create("vm1", "Two"));  // A2
  EXPECT_EQ(box.refusal.reason, "InsufficientGpu");
  EXPECT_FALSE(box.create("vm1", "Huge"));
  EXPECT_EQ(box.refusal.reason, "InsufficientMemory");
  VmRequest no_image = VmBox::request("vm1", "One");
  no_image.image = "none";
  EXPECT_FALSE(box.done(box.vms->create(no_image, DryRun::No)));
  EXPECT_EQ(box.refusal.reason, "UnknownImage");
  VmRequest disks = VmBox::request("vm1", "One");
  disks.data_disks = {512, 512, 512};
  EXPECT_FALSE(box.done(box.vms->create(disks, DryRun::No)));
  EXPECT_EQ(box.owners(), "free");
  ASSERT_TRUE(box.create("vm1"));
  EXPECT_FALSE(box.create("vm1", "Plain"));
  EXPECT_EQ(box.refusal.reason, "NameTaken");
}

TEST(VmServiceTest, TheNumberOfVmsIsLimited) {
  VmBox box(0);
  for (int i = 0; i < vm::kDefaultMaxVms; ++i) ASSERT_TRUE(box.create("vm" + std::to_string(i), "Plain"));
  EXPECT_FALSE(box.create("more", "Plain"));
  EXPECT_EQ(box.refusal.reason, "TooManyVms");
}

TEST(VmServiceTest, A2AReservationOfItsNameIsTakenOverAndOver) {
  VmBox box(1);
  ASSERT_TRUE(box.done(box.service->reserve("vm1", 1, DryRun::No)));
  EXPECT_FALSE(box.create("other"));
  ASSERT_TRUE(box.create("vm1"));
  EXPECT_THAT(box.desk->book()->reservations, IsEmpty());
}

TEST(VmServiceTest, A2ResizingChangesTheClaimAndGivesBackWhatIsOver) {
  VmBox box(2);
  ASSERT_TRUE(box.create("vm1"));
  EXPECT_FALSE(box.done(box.vms->resize("vm1", "Two", DryRun::No)));
  EXPECT_EQ(box.refusal.reason, "OperationNotAllowed");
  ASSERT_TRUE(box.done(box.vms->stop("vm1", Force::No, DryRun::No)));
  ASSERT_TRUE(box.done(box.vms->resize("vm1", "Two", DryRun::No)));
  EXPECT_EQ(box.owners(), "vm,vm");
  ASSERT_TRUE(box.done(box.vms->start("vm1", DryRun::No)));
  EXPECT_THAT(box.handover.at_guests, ElementsAre(0, 1));
  ASSERT_TRUE(box.done(box.vms->stop("vm1", Force::No, DryRun::No)));
  ASSERT_TRUE(box.done(box.vms->resize("vm1", "One", DryRun::No)));
  EXPECT_EQ(box.owners(), "vm,free");
  EXPECT_THAT(box.handover.at_guests, ElementsAre(0));
}

TEST(VmServiceTest, ARestartIsDoneOnceAndNeedsARunningVm) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  box.hypervisor.calls.clear();
  ASSERT_TRUE(box.done(box.vms->restart("vm1", DryRun::No)));
  EXPECT_EQ(std::ranges::count(box.hypervisor.calls, "reboot vm1"), 1);
  ASSERT_TRUE(box.done(box.vms->stop("vm1", Force::No, DryRun::No)));
  EXPECT_FALSE(box.done(box.vms->restart("vm1", DryRun::No)));
  EXPECT_EQ(box.refusal.reason, "OperationNotAllowed");
}

TEST(VmServiceTest, AGuestThatCannotBeRestartedIsEndedAndStarted) {
  VmBox box(1);
  ASSERT_TRUE(box.create("vm1"));
  box.hypervisor.calls.clear();
  box.hypervisor.failures["reboot"] = Error{ErrorCode::Io, "not supported", {}, {}};
  ASSERT_TRUE(box.done(box.vms->restart("vm1", DryRun::No)));
  EXPECT_EQ(std::ranges::count(box.hypervisor.calls, "destroy vm1"), 1);
  EXPECT_EQ(std::ranges::count(box.hypervisor.calls, "start vm1"), 1);
  EXPECT_EQ(stateText(box, "vm1"), "running Succeeded");
}

TEST(VmServiceTest, B6ASizeInUseIsFrozenAndCustomSizesAreSet) {
  VmBox box(1);
  vm::VmSize small;
  small.name = "small";
  small.vcpus = 1;
  small.memory = MiB{512};
  ASSERT_TRUE(box.vms->addSize(small));
  ASSERT_TRUE(box.create("vm1", "small"));
  EXPECT_EQ(box.vms->removeSize("small").error().reason, "SizeInUse");
  ASSERT_TRUE(box.done(box.vms->remove("vm1", DryRun::No)));
  box.restart();
  EXPECT_TRUE(box.vms->removeSize("small"));
  EXPECT_EQ(box.vms->removeSize("One").error().reason, "SizeBuiltin");
  ASSERT_TRUE(box.vms->setCustomSizes({{"Custom_GPU_T4_v3", 2, MiB{2048}, 1}}));
  EXPECT_EQ(box.vms->customSizes().at(0).cores, 2);
  ASSERT_TRUE(box.create("vm2", "Custom_GPU_T4_v3"));
  EXPECT_EQ(box.vms->setCustomSizes({{"Custom_GPU_T4_v3", 4, MiB{2048}, 1}}).error().reason, "SizeInUse");
}

TEST(VmServiceTest, AnImageInUseStaysAndOneThatCannotBeImportedLeavesNothing) {
  VmBox box(0);
  ASSERT_TRUE(box.create("vm1", "Plain"));
  EXPECT_FALSE(box.done(box.vms->removeImage("debian", DryRun::No)));
  EXPECT_EQ(box.refusal.reason, "ImageInUse");
  ASSERT_TRUE(box.done(box.vms->remove("vm1", DryRun::No)));
  ASSERT_TRUE(box.done(box.vms->removeImage("debian", DryRun::No)));
  EXPECT_THAT(box.files.images, IsEmpty());
  box.files.import_refusal = Error{ErrorCode::InvalidArgument, "the footer is broken", "BadImage", {}};
  EXPECT_FALSE(box.done(box.vms->addImage(VmBox::image("broken"), DryRun::No)));
  EXPECT_EQ(box.refusal.reason, "BadImage");
  EXPECT_THAT(box.desk->book()->images, IsEmpty());
}

TEST(VmServiceTest, EveryFieldOfAVmSurvivesTheDaemon) {
  VmBox box(1);
  VmRequest request = VmBox::request("vm1", "One");
  request.user = "azureuser";
  request.password = "Secret-1234567";
  request.ssh_keys = {"ssh-ed25519 AAAA me"};
  request.data_disks = {1U << 20U};
  request.nics = {VmNic{}, VmNic{"", "br0", "", vm::StaticAddress{"10.0.0.5", 24, "10.0.0.1", {"10.0.0.2"}}}};
  request.policy = GpuPolicy::Lend;
  ASSERT_TRUE(box.done(box.vms->create(request, DryRun::No))) << box.refusal.message;
  const VmRecord before = box.vm("vm1");
  EXPECT_EQ(before.asked.password, "") << "the seed has it, nobody else needs it";
  box.restart();
  EXPECT_EQ(box.vm("vm1"), before);
  box.settle();
  EXPECT_EQ(box.vm("vm1"), before) << "nothing is done to what is as it should be";
}

TEST(VmServiceTest, B17ARehearsalSaysTheSameAndDoesNothing) {
  VmBox box(1);
  const auto planned = box.vms->create(VmBox::request("vm1", "One"), DryRun::Yes);
  ASSERT_TRUE(planned);
  EXPECT_THAT(planned->changes, ::testing::SizeIs(2));
  EXPECT_FALSE(box.exists("vm1"));
  EXPECT_EQ(box.owners(), "free");
}

TEST(VmServiceTest, ADomainOfOursThatNobodyKnowsIsEndedAndAnotherDaemonsIsNot) {
  VmBox box(0);
  for (const std::string owner : {"test", "other"}) {
    vm::VmSpec spec;
    spec.name = vm::VmName("left-by-" + owner);
    spec.id = domainId(owner, "uuid");
    spec.memory = MiB{64};
    spec.os_disk = "/disk";
    spec.console_socket = "/console";
    ASSERT_TRUE(box.hypervisor.define(spec, {}));
    ASSERT_TRUE(box.hypervisor.start(spec.name, {}));
  }
  ASSERT_TRUE(box.keeper->removeOrphans());
  EXPECT_EQ(box.domain("left-by-test"), DomainState::Absent);
  EXPECT_EQ(box.domain("left-by-other"), DomainState::Running);
}

}  // namespace
}  // namespace berth::service
