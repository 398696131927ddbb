#include "gpu/vfio/step.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gpu/vfio/journal.h"

namespace berth::vfio {
namespace {

const Step kBind{Attribute::Driver, PciAddress("0000:3b:00.0"), "", "vfio-pci"};

TEST(StepTest, AStepIsReadBackFromWhatTheJournalHas) {
  EXPECT_EQ(encode(kBind), (StepText{"driver 0000:3b:00.0 vfio-pci", "driver 0000:3b:00.0 -"}));
  for (const Attribute attribute : {Attribute::Persistence, Attribute::PowerControl, Attribute::D3cold,
                                    Attribute::Override, Attribute::Driver}) {
    const Step step{attribute, PciAddress("10000:01:1f.7"), "snd_hda_intel", ""};
    EXPECT_EQ(decode(encode(step)), step);
  }
}

TEST(StepTest, AnythingElseIsCorruptAndNamed) {
  for (const char* text : {"", "driver", "driver 0000:3b:00.0", "driver 0000:3b:00.0 a b",
                           "driver 3b:00.0 nvidia", "driver 0000:3B:00.0 nvidia", "colour 0000:3b:00.0 red",
                           "driver 0000:3b:00.0 ../x", "driver 0000:3b:00.0 nvi\ndia"}) {
    const auto step = decode({text, "driver 0000:3b:00.0 -"});
    ASSERT_FALSE(step) << text;
    EXPECT_EQ(step.error().code, ErrorCode::Corrupt);
    EXPECT_NE(step.error().message.find(text), std::string::npos) << step.error().message;
  }
  EXPECT_FALSE(decode({"driver 0000:3b:00.0 vfio-pci", "driver 0000:3b:00.1 -"}));
  EXPECT_FALSE(decode({"driver 0000:3b:00.0 vfio-pci", "override 0000:3b:00.0 -"}));
}

TEST(StepTest, StepsAreSaidInWords) {
  EXPECT_EQ(describe(kBind), "bind 0000:3b:00.0 to vfio-pci");
  EXPECT_EQ(describe(Step{Attribute::Driver, PciAddress("0000:3b:00.0"), "nvidia", ""}),
            "unbind 0000:3b:00.0 from nvidia");
  EXPECT_EQ(describe(Step{Attribute::D3cold, PciAddress("0000:3b:00.0"), "1", "0"}),
            "forbid 0000:3b:00.0 the power state D3cold");
}

TEST(JournalTest, AJournalIsReadBackAndDamageIsNamedByItsLine) {
  const std::vector<JournalEntry> entries{{0, kBind, ledger::StepState::Done},
                                          {1, kBind, ledger::StepState::Intent},
                                          {2, kBind, ledger::StepState::Undone}};
  const std::string text = encodeJournal(entries);
  EXPECT_EQ(decodeJournal(text), entries);
  EXPECT_EQ(decodeJournal(""), std::vector<JournalEntry>{});
  EXPECT_NE(decodeJournal(text.substr(0, text.size() - 1)).error().message.find("line 3"), std::string::npos);
  for (const char* damaged : {"1 done driver 0000:3b:00.0 a\tdriver 0000:3b:00.0 -\n",
                              "0 gone driver 0000:3b:00.0 a\tdriver 0000:3b:00.0 -\n",
                              "0 done driver 0000:3b:00.0 a\n", "0 done\n", "\n"}) {
    EXPECT_EQ(decodeJournal(damaged).error().code, ErrorCode::Corrupt) << damaged;
  }
  EXPECT_TRUE(isPending(entries));
  EXPECT_FALSE(isComplete(entries));
  EXPECT_TRUE(isComplete({entries[0]}));
  EXPECT_FALSE(isPending({entries[2]}));
  EXPECT_FALSE(isComplete({}));
}

}  // namespace
}  // namespace berth::vfio
