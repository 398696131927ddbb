#include "sharing/mps/mps_answers.h"

#include <string>

#include <gtest/gtest.h>

namespace berth::sharing {
namespace {

TEST(MpsAnswersTest, PidsComeOneALineAndNoneIsNoFailure) {
  EXPECT_EQ(parsePidList("6472\n6473\n").value(), (std::vector<std::int64_t>{6472, 6473}));
  EXPECT_TRUE(parsePidList("").value().empty());
  EXPECT_TRUE(parsePidList("\n").value().empty());
}

TEST(MpsAnswersTest, AnythingElseIsQuotedInTheErrorAtMost200Characters) {
  const auto pids = parsePidList("Cannot find MPS control daemon process\n");
  ASSERT_FALSE(pids);
  EXPECT_EQ(pids.error().code, ErrorCode::Unavailable);
  EXPECT_EQ(pids.error().message, "the MPS control daemon answered: Cannot find MPS control daemon process");
  EXPECT_EQ(parsePidList(std::string(5000, 'x')).error().message.size(),
            std::string("the MPS control daemon answered: ").size() + 200);
  EXPECT_FALSE(parsePidList("0\n"));
  EXPECT_FALSE(parsePidList("12 13\n"));
}

TEST(MpsAnswersTest, TheThreeServerStatesAreKnown) {
  EXPECT_EQ(parseServerState("ACTIVE\n").value(), MpsServerState::Active);
  EXPECT_EQ(parseServerState("FAULT").value(), MpsServerState::Fault);
  EXPECT_EQ(parseServerState("INITIALIZING\n").value(), MpsServerState::Initializing);
  EXPECT_FALSE(parseServerState("active"));
}

TEST(MpsAnswersTest, PercentagesHaveAFractionAndEndAt100) {
  EXPECT_EQ(parsePercentage("50.0\n").value(), Percent{50});
  EXPECT_EQ(parsePercentage("100").value(), Percent{100});
  EXPECT_FALSE(parsePercentage("101.0"));
  EXPECT_FALSE(parsePercentage("50.x"));
  EXPECT_FALSE(parsePercentage(""));
}

TEST(MpsAnswersTest, ARecordCutAtAnyByteIsNoRecord) {
  const MpsRecord record{3, {1000, 77}, "0f6e-1", {Percent{50}, MiB{4096}}};
  const std::string text = toText(record);
  EXPECT_EQ(parseRecord(text).value(), record);
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    EXPECT_EQ(parseRecord(text.substr(0, cut)).error().code, ErrorCode::Corrupt) << cut;
  }
}

}  // namespace
}  // namespace berth::sharing
