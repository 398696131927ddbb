#include "gpu/vfio/step.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace berth::vfio
