#include "gpu/vfio/move.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gpu/vfio/fake_sysfs.h"
#include "gpu/vfio/group.h"
#include "gpu/vfio/plan.h"

namespace berth::vfio {
namespace {

using ledger::StepState;
using testing::Contains;
using testing::HasSubstr;

const PciAddress kGpu("0000:3b:00.0");
const Deadline kDeadline = Deadline::max();

/// Entries by number, as the ledger has them after a crash.
class FakeJournal final : public MoveJournal {
 public:
  Result<void> put(const JournalEntry& entry) override {
    if (fail_from && ++puts >= *fail_from) return fail(ErrorCode::Unavailable, "the ledger is closed");
    rows[entry.seq] = entry;
    return {};
  }
  std::vector<JournalEntry> entries() const {
    std::vector<JournalEntry> all;
    for (const auto& [seq, entry] : rows) all.push_back(entry);
    return all;
  }

  std::map<int, JournalEntry> rows;
  std::optional<int> fail_from;
  int puts = 0;
};

class FakePersistence final : public Persistence {
 public:
  explicit FakePersistence(const FakeSysfs& tree) : tree_(tree) {}
  Result<bool> get(const PciAddress& gpu) override {
    if (tree_.driverOf(gpu.value) == "nvidia") return on;
    return fail(ErrorCode::NotFound, "the driver does not have it");
  }
  Result<void> set(const PciAddress& gpu, bool value, Deadline /*deadline*/) override {
    TRY_VOID(get(gpu));
    on = value;
    return {};
  }
  bool on = true;

 private:
  const FakeSysfs& tree_;
};

/// A box with a card of two functions, and all that moves it.
struct Box {
  Box() {
    tree.add({"0000:3a:00.0", "0x060400", "0x8086", "0x2030", "pcieport", 7});
    tree.add({"0000:3b:00.0", "0x030200", "0x10de", "0x1eb8", "nvidia", 7});
    tree.add({"0000:3b:00.1", "0x040300", "0x10de", "0x10f8", "snd_hda_intel", 7});
    before = tree.everything();
  }
  std::vector<Step> plan() {
    auto planned = planTake(*survey(tree.sysfs(), tree.proc()), {{kGpu}, {}, {kGpu}});
    EXPECT_TRUE(planned);
    return planned->steps;
  }
  Result<void> takeIt(const Gate& gate = [] { return Result<void>(); }) {
    return take(plan(), settings, journal, gate, kDeadline);
  }
  Result<void> giveItBack() { return giveBack(journal.entries(), settings, journal, kDeadline); }
  void expectAsBefore() const {
    EXPECT_EQ(tree.everything(), before);
    EXPECT_TRUE(persistence.on);
  }
  bool withVfio() const {
    return tree.driverOf("0000:3b:00.0") == kVfioDriver && tree.driverOf("0000:3b:00.1") == kVfioDriver;
  }

  FakeSysfs tree;
  FakePersistence persistence{tree};
  SysfsSettings settings{tree, &persistence, tree.sysfs()};
  FakeJournal journal;
  std::map<std::string, std::string> before;
};

TEST(MoveTest, ACardIsTakenWithItsAudioFunctionAndGivenBackAsItWas) {
  Box box;
  ASSERT_TRUE(box.takeIt());
  EXPECT_TRUE(box.withVfio());
  EXPECT_FALSE(box.persistence.on);
  EXPECT_EQ(FakeSysfs::get(box.tree.device("0000:3b:00.0") / "d3cold_allowed"), "0");
  for (const JournalEntry& entry : box.journal.entries()) EXPECT_EQ(entry.state, StepState::Done);

  for (int i = 0; i < 2; ++i) ASSERT_TRUE(box.giveItBack());
  box.expectAsBefore();
  for (const JournalEntry& entry : box.journal.entries()) EXPECT_EQ(entry.state, StepState::Undone);
}

TEST(MoveTest, AFailureAtAnyStepLeavesTheCardAsItWas) {
  for (int at = 1; at <= 12; ++at) {
    SCOPED_TRACE(at);
    Box box;
    box.tree.fail_at = at;
    const auto taken = box.takeIt();
    ASSERT_FALSE(taken);
    EXPECT_THAT(taken.error().message, HasSubstr("Device or resource busy"));
    box.expectAsBefore();
  }
}

TEST(MoveTest, KilledAtAnyStepTheJournalBringsTheCardBack) {
  for (int at = 1; at <= 12; ++at) {
    for (const bool after : {false, true}) {
      SCOPED_TRACE(std::to_string(at) + (after ? " after" : " before"));
      Box box;
      (after ? box.tree.kill_after : box.tree.kill_before) = at;
      EXPECT_THROW(static_cast<void>(box.takeIt()), Killed);
      box.tree.kill_after = box.tree.kill_before = std::nullopt;

      ASSERT_TRUE(box.giveItBack());
      box.expectAsBefore();
      ASSERT_TRUE(box.takeIt());  // And the next attempt finds nothing in its way.
      EXPECT_TRUE(box.withVfio());
    }
  }
}

TEST(MoveTest, KilledWhileGivingBackTheNextAttemptFinishes) {
  for (int at = 1; at <= 12; ++at) {
    for (const bool after : {false, true}) {
      SCOPED_TRACE(std::to_string(at) + (after ? " after" : " before"));
      Box box;
      ASSERT_TRUE(box.takeIt());
      box.tree.writes.clear();
      (after ? box.tree.kill_after : box.tree.kill_before) = at;
      EXPECT_THROW(static_cast<void>(box.giveItBack()), Killed);
      box.tree.kill_after = box.tree.kill_before = std::nullopt;

      ASSERT_TRUE(box.giveItBack());
      box.expectAsBefore();
    }
  }
}

TEST(MoveTest, AfterARestartOfTheBoxNothingIsLeftToUndo) {
  Box box;
  ASSERT_TRUE(box.takeIt());
  Box restarted;
  restarted.journal.rows = box.journal.rows;
  ASSERT_TRUE(restarted.giveItBack());
  restarted.expectAsBefore();
  EXPECT_TRUE(restarted.tree.writes.empty());
}

TEST(MoveTest, NothingIsUnboundWhileSomebodyUsesTheCard) {
  Box box;
  const auto taken = box.takeIt([] {
    return Result<void>(fail(Error{ErrorCode::Refused, "process 12 has it open", kDeviceInUse, {}}));
  });
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().reason, kDeviceInUse);
  EXPECT_THAT(box.tree.writes, testing::Not(Contains(HasSubstr("unbind"))));
  box.expectAsBefore();
}

TEST(MoveTest, ADeviceThatHangsIsLeftUntilItAnswersAndTheOthersGoBack) {
  Box box;
  box.tree.hang_at = 7;  // Unbinding the GPU from its driver.
  const auto taken = box.takeIt();
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().reason, kSysfsHung);
  EXPECT_THAT(taken.error().details, Contains(testing::Field(&ErrorDetail::target, "undo")));
  EXPECT_EQ(FakeSysfs::get(box.tree.device("0000:3a:00.0") / "power/control"), "auto");
  EXPECT_EQ(box.giveItBack().error().reason, kSysfsHung);  // Still.

  // The write comes through late: the driver lets go, and nobody is bound.
  std::filesystem::remove(box.tree.device("0000:3b:00.0") / "driver");
  box.tree.hung.clear();
  ASSERT_TRUE(box.giveItBack());
  box.expectAsBefore();
}

TEST(MoveTest, ALedgerThatClosesInTheMiddleStillLeavesTheCardAsItWas) {
  for (int puts = 1; puts <= 26; ++puts) {
    SCOPED_TRACE(puts);
    Box box;
    box.journal.fail_from = puts;
    ASSERT_FALSE(box.takeIt());
    box.expectAsBefore();
  }
}

TEST(MoveTest, WhatTheAdministratorSetMeanwhileIsNotTakenBack) {
  Box box;
  ASSERT_TRUE(box.takeIt());
  FakeSysfs::put(box.tree.device("0000:3b:00.0") / "driver_override", "pci-stub");
  box.tree.addDriver("pci-stub");
  std::filesystem::remove(box.tree.device("0000:3b:00.0") / "driver");
  static_cast<void>(box.giveItBack());
  EXPECT_EQ(FakeSysfs::get(box.tree.device("0000:3b:00.0") / "driver_override"), "pci-stub");
}

}  // namespace
}  // namespace berth::vfio
