#include "service/vfio_handover.h"

#include <map>
#include <memory>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "gpu/fake_driver.h"
#include "gpu/vfio/fake_sysfs.h"
#include "gpu/vfio/group.h"
#include "ledger/ledger.h"
#include "ledger/ledger_testing.h"
#include "os/fake_process_runner.h"
#include "service/desk.h"

namespace berth::service {
namespace {

using ::testing::HasSubstr;
using vfio::FakeSysfs;

const vm::Deadline kDeadline = vm::Deadline::max();

/// A box with two GPUs, each a card with an audio function, and the moves of both.
class VfioHandoverTest : public ::testing::Test {
 protected:
  VfioHandoverTest() {
    boot();
    const auto fitted = desk_->change([](Draft& draft) -> Result<void> {
      draft.putGpu(t4(0));
      draft.putGpu(t4(1));
      return {};
    });
    EXPECT_TRUE(fitted);
    addCard("0000:00:00", 1);
    addCard("0000:01:00", 2);
    for (const ledger::Gpu& gpu : desk_->book()->state.gpus) {
      gpu::GpuInfo info;
      info.uuid = gpu.uuid;
      info.pci = gpu.pci;
      driver_.gpus.push_back(info);
    }
    driver_.persistent.insert(gpu(0).uuid);
    before_ = tree_.everything();
  }

  /// What a restart of the daemon does: what is remembered is in the ledger.
  void boot() {
    desk_.reset();
    ledger_.reset();
    ledger_ = std::move(ledger::Ledger::open(dir_.path())).value();
    desk_ = std::move(Desk::open(*ledger_, clock_, {})).value();
  }

  static ledger::Gpu t4(int index) {
    ledger::Gpu gpu;
    gpu.uuid = GpuUuid("GPU-0000000" + std::to_string(index));
    gpu.pci = PciAddress("0000:0" + std::to_string(index) + ":00.0");
    gpu.index = index;
    gpu.name = "Tesla T4";
    gpu.memory = MiB{15360};
    return gpu;
  }

  void addCard(const std::string& slot, int group) {
    tree_.add({slot + ".0", "0x030200", "0x10de", "0x1eb8", "nvidia", group});
    tree_.add({slot + ".1", "0x040300", "0x10de", "0x10f8", "snd_hda_intel", group});
  }

  ledger::Gpu gpu(int index) { return t4(index); }

  VfioHandover handover() {
    return VfioHandover({*desk_, driver_, runner_, tree_, {}, tree_.sysfs(), tree_.proc()});
  }

  /// Both GPUs to VM "one".
  void grantBoth() {
    const auto granted = desk_->change([](Draft& draft) -> Result<void> {
      TRY(const auto plan, draft.decide(arbiter::ClaimWholeGpus{{ledger::HolderKind::Vm, "one"}, 2}, {}));
      return {};
    });
    ASSERT_TRUE(granted);
  }

  ledger::testing::TempDir dir_;
  FakeClock clock_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<Desk> desk_;
  FakeSysfs tree_;
  gpu::FakeGpuDriver driver_;
  os::FakeProcessRunner runner_;
  std::map<std::string, std::string> before_;
};

TEST_F(VfioHandoverTest, AGpuGoesToItsGuestAndComesBackAsItWas) {
  for (int i = 0; i < 2; ++i) {  // Repeating is a success.
    const auto taken = handover().toGuest(gpu(0), kDeadline);
    ASSERT_TRUE(taken) << taken.error().message;
  }
  EXPECT_EQ(tree_.driverOf("0000:00:00.0"), "vfio-pci");
  EXPECT_EQ(tree_.driverOf("0000:00:00.1"), "vfio-pci");
  EXPECT_EQ(tree_.driverOf("0000:01:00.0"), "nvidia");
  EXPECT_FALSE(driver_.suspended);
  EXPECT_FALSE(driver_.persistent.contains(gpu(0).uuid));

  boot();  // The journal is the ledger's: another daemon gives it back.
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(handover().toHost(gpu(0), kDeadline));
  EXPECT_EQ(tree_.everything(), before_);
  EXPECT_TRUE(driver_.persistent.contains(gpu(0).uuid));
  EXPECT_EQ(desk_->note(moveKey(gpu(0).pci)).value(), std::nullopt);
}

TEST_F(VfioHandoverTest, AfterACrashInTheMiddleTheNextStartSucceedsAndTheGiveBackIsWhole) {
  for (int at = 1; at <= 10; ++at) {
    SCOPED_TRACE(at);
    tree_.writes.clear();
    tree_.kill_after = at;
    EXPECT_THROW(static_cast<void>(handover().toGuest(gpu(0), kDeadline)), vfio::Killed);
    tree_.kill_after.reset();
    boot();

    const auto taken = handover().toGuest(gpu(0), kDeadline);
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_EQ(tree_.driverOf("0000:00:00.0"), "vfio-pci");
    ASSERT_TRUE(handover().toHost(gpu(0), kDeadline));
    EXPECT_EQ(tree_.everything(), before_);
    EXPECT_TRUE(driver_.persistent.contains(gpu(0).uuid));
  }
}

TEST_F(VfioHandoverTest, ARefusedMoveLeavesNothingBehindAndNamesWhatIsInTheWay) {
  tree_.add({"0000:02:00.0", "0x020000", "0x8086", "0x10d3", "xhci_hcd", 1});
  const auto taken = handover().toGuest(gpu(0), kDeadline);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().reason, vfio::kGroupNotViable);
  EXPECT_THAT(taken.error().message, HasSubstr("0000:02:00.0"));
  EXPECT_TRUE(tree_.writes.empty());
  EXPECT_FALSE(driver_.suspended);
}

TEST_F(VfioHandoverTest, AStepThatFailsIsUndoneAndTheDriverIsToBeHadAgain) {
  tree_.fail_at = 8;
  EXPECT_FALSE(handover().toGuest(gpu(0), kDeadline));
  EXPECT_EQ(tree_.everything(), before_);
  EXPECT_TRUE(driver_.persistent.contains(gpu(0).uuid));
  EXPECT_FALSE(driver_.suspended);
  EXPECT_EQ(desk_->note(moveKey(gpu(0).pci)).value(), std::nullopt);
}

TEST_F(VfioHandoverTest, TwoGpusOfOneVmInOneGroupGoTogetherAndNotAlone) {
  FakeSysfs shared;
  shared.add({"0000:00:00.0", "0x030200", "0x10de", "0x1eb8", "nvidia", 1});
  shared.add({"0000:01:00.0", "0x030200", "0x10de", "0x1eb8", "nvidia", 1});
  const auto before = shared.everything();
  VfioHandover moves({*desk_, driver_, runner_, shared, {}, shared.sysfs(), shared.proc()});
  EXPECT_EQ(moves.toGuest(gpu(0), kDeadline).error().reason, vfio::kGroupNotViable);

  grantBoth();
  ASSERT_TRUE(moves.toGuest(gpu(0), kDeadline));
  ASSERT_TRUE(moves.toGuest(gpu(1), kDeadline));
  EXPECT_EQ(shared.driverOf("0000:01:00.0"), "vfio-pci");
  ASSERT_TRUE(moves.toHost(gpu(0), kDeadline));
  ASSERT_TRUE(moves.toHost(gpu(1), kDeadline));
  EXPECT_EQ(shared.everything(), before);
}

TEST_F(VfioHandoverTest, ABoxWithoutNvidiasDriverMovesItsGpusToo) {
  driver_.failure = Error{ErrorCode::Unavailable, "no driver", {}, {}};
  ASSERT_TRUE(handover().toGuest(gpu(0), kDeadline));
  ASSERT_TRUE(handover().toHost(gpu(0), kDeadline));
  EXPECT_EQ(tree_.everything(), before_);
}

}  // namespace
}  // namespace berth::service
