#include "engine/profile.h"

#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::sim {
namespace {

using ::testing::HasSubstr;

std::string t4() {
  return "[t4]\nname = Tesla T4\npci_device_id = 0x1eb810de\npci_subsystem_id = 1\nsm_count = 40\n"
         "compute_capability = 7.5\nmemory_mib = 15360\npower_limit_w = 70\nidle_power_w = 9\n"
         "sm_clock_mhz = 1590\nmemory_clock_mhz = 5001\nmemory_bus_bits = 256\ngflops_fp32 = 4330\n"
         "context_overhead_kib = 1\nmps_context_overhead_kib = 1\nslice_us = 2000\nswitch_us = 199\n";
}

std::string with(const std::string& old_text, const std::string& new_text) {
  std::string text = t4();
  return text.replace(text.find(old_text), old_text.size(), new_text);
}

TEST(ProfileTest, TheShippedProfilesAreT4A2L4A100AndH100) {
  const auto profiles = loadProfiles(BERTH_SOURCE_DIR "/simdriver/profiles.txt");
  ASSERT_TRUE(profiles) << profiles.error().message;
  std::vector<std::string> keys;
  for (const auto& profile : *profiles) keys.push_back(profile.key);
  EXPECT_THAT(keys, ::testing::ElementsAre("t4", "a2", "l4", "a100", "h100"));
  EXPECT_EQ(profiles->front().memory_bytes, 15360ULL << 20U);
  EXPECT_EQ(profiles->front().pci_device_id, 0x1eb810deU);
}

TEST(ProfileTest, ErrorsNameTheLine) {
  struct Case {
    std::string text;
    const char* message;
  };
  for (const Case& wrong :
       {Case{with("sm_count = 40\n", ""), "has no sm_count"},
        Case{with("sm_count = 40", "sm_count = 0"), "sm_count must be 1 to 1024"},
        Case{with("sm_count = 40", "sm_count = 1025"), "sm_count must be 1 to 1024"},
        Case{with("sm_count = 40", "sm_count = -1"), "line 5: sm_count: not a value: -1"},
        Case{with("sm_count = 40", "sms = 40"), "line 5: unknown field sms"},
        Case{with("sm_count = 40", "name = B"), "line 5: name is there twice"},
        Case{with("7.5", "7"), "line 6: compute_capability: not a value: 7"},
        Case{with("gflops_fp32 = 4330", "gflops_fp32 = nan"), "gflops_fp32 must be above 0"},
        Case{with("gflops_fp32 = 4330", "gflops_fp32 = inf"), "gflops_fp32 must be above 0"},
        Case{with("switch_us = 199", "switch_us = 2001"), "a switch must not take longer than a slice"},
        Case{t4() + t4(), "line 18: profile t4 is there twice"}, Case{"name = T4\n", "before the first"},
        Case{"[T 4]\n", "line 1: a section is [key]"}}) {
    const auto profiles = parseProfiles(wrong.text);
    ASSERT_FALSE(profiles) << wrong.message;
    EXPECT_EQ(profiles.error().code, ErrorCode::InvalidArgument);
    EXPECT_THAT(profiles.error().message, HasSubstr(wrong.message));
  }
}

TEST(ProfileTest, LimitsAreInclusive) {
  EXPECT_TRUE(parseProfiles(with("sm_count = 40", "sm_count = 1024")));
  EXPECT_TRUE(parseProfiles(with("sm_count = 40", "sm_count = 1 # small")));
  EXPECT_TRUE(parseProfiles(with("switch_us = 199", "switch_us = 2000")));
}

TEST(ProfileTest, AFileThatIsNotThereIsNamed) {
  const auto profiles = loadProfiles("/nonexistent/profiles.txt");
  ASSERT_FALSE(profiles);
  EXPECT_THAT(profiles.error().message, HasSubstr("/nonexistent/profiles.txt"));
}

}  // namespace
}  // namespace berth::sim
