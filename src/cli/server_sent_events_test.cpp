#include "cli/server_sent_events.h"

#include <gtest/gtest.h>

namespace berth::cli {
namespace {

TEST(ServerSentEventsTest, TheSameEventsComeOutHoweverTheBytesAreCut) {
  const std::string stream =
      ": hello\n\nid: 7\r\nevent: gpu.owner\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata:x\r\r";
  const std::vector<ServerSentEvent> expected{{"7", "gpu.owner", "{\"a\":\n1}"}, {"7", "", "x"}};
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    ServerSentEventParser parser;
    auto events = parser.add(stream.substr(0, cut));
    const auto rest = parser.add(stream.substr(cut));
    ASSERT_TRUE(events && rest);
    events->insert(events->end(), rest->begin(), rest->end());
    EXPECT_EQ(*events, expected) << "cut at " << cut;
  }
}

TEST(ServerSentEventsTest, AnEventWithoutItsEndOrWithoutDataIsNone) {
  ServerSentEventParser parser;
  EXPECT_TRUE(parser.add("event: x\n\ndata: half\n")->empty());
}

TEST(ServerSentEventsTest, ALineOfTheLimitIsTakenAndOneByteMoreIsNot) {
  ServerSentEventParser parser;
  EXPECT_TRUE(parser.add(std::string(kMaxEventBytes, 'x')));
  const auto past = parser.add("x");
  ASSERT_FALSE(past);
  EXPECT_EQ(past.error().code, ErrorCode::Io);
}

}  // namespace
}  // namespace berth::cli
