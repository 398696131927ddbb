#include "container/docker_frames.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace berth::container {
namespace {

std::string frame(char stream, std::string_view text, char padding = 0) {
  std::string bytes{stream, padding, 0, 0};
  for (const unsigned shift : {24U, 16U, 8U, 0U}) {
    bytes += static_cast<char>(static_cast<unsigned char>(text.size() >> shift));
  }
  return bytes.append(text);
}

struct Seen {
  std::string out, err;
  LogSink sink() {
    return [this](bool is_stderr, std::string_view bytes) {
      (is_stderr ? err : out) += bytes;
      return true;
    };
  }
};

// What Podman 4.3.1 sent for `echo out; echo err >&2; cat f`.
const std::string kRecorded("\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\4err\n\1\0\0\0\0\0\0\3hi\n", 35);

TEST(FrameReaderTest, BothStreamsAreToldApartWhereverTheBytesAreSplit) {
  for (std::size_t first = 0; first <= kRecorded.size(); ++first) {
    for (std::size_t second = first; second <= kRecorded.size(); ++second) {
      FrameReader reader;
      Seen seen;
      const std::string_view all = kRecorded;
      for (const auto piece : {all.substr(0, first), all.substr(first, second - first), all.substr(second)}) {
        const auto more = reader.feed(piece, seen.sink());
        ASSERT_TRUE(more && *more) << first << " " << second;
      }
      EXPECT_TRUE(reader.finish());
      ASSERT_EQ(seen.out, "out\nhi\n") << first << " " << second;
      ASSERT_EQ(seen.err, "err\n") << first << " " << second;
    }
  }
}

TEST(FrameReaderTest, AnEndInsideAFrameIsNoticedAtEveryByte) {
  const std::string bytes = frame(1, "abc");
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    FrameReader reader;
    Seen seen;
    ASSERT_TRUE(reader.feed(bytes.substr(0, cut), seen.sink()));
    const auto end = reader.finish();
    ASSERT_FALSE(end) << cut;
    EXPECT_EQ(end.error().code, ErrorCode::Corrupt);
  }
}

TEST(FrameReaderTest, AnEmptyFrameIsNothing) {
  FrameReader reader;
  const auto more = reader.feed(frame(1, ""), [](bool, std::string_view) {
    ADD_FAILURE();
    return true;
  });
  ASSERT_TRUE(more);
  EXPECT_TRUE(reader.finish());
}

TEST(FrameReaderTest, TheEnginesOwnErrorsCountAsStderr) {
  FrameReader reader;
  Seen seen;
  ASSERT_TRUE(reader.feed(frame(3, "gone"), seen.sink()));
  EXPECT_EQ(seen.err, "gone");
}

TEST(FrameReaderTest, WhatIsNoFrameIsRefused) {
  const std::string raw = "plain text of a terminal";
  for (const std::string& bytes : {raw, frame(4, "x"), frame(1, "x", 1)}) {
    FrameReader reader;
    Seen seen;
    const auto more = reader.feed(bytes, seen.sink());
    ASSERT_FALSE(more);
    EXPECT_EQ(more.error().code, ErrorCode::Corrupt);
    EXPECT_EQ(seen.out + seen.err, "");
  }
}

TEST(FrameReaderTest, AFrameMayAnnounceTheLimitAndNotOneByteMore) {
  Seen seen;
  FrameReader at_limit;
  EXPECT_TRUE(at_limit.feed(std::string("\1\0\0\0\4\0\0\0", 8), seen.sink()));
  FrameReader past_limit;
  EXPECT_FALSE(past_limit.feed(std::string("\1\0\0\0\4\0\0\1", 8), seen.sink()));
}

TEST(FrameReaderTest, ASinkThatHasEnoughEndsTheReading) {
  FrameReader reader;
  int calls = 0;
  const auto more = reader.feed(kRecorded, [&](bool, std::string_view) { return ++calls < 2; });
  ASSERT_TRUE(more);
  EXPECT_FALSE(*more);
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace berth::container
