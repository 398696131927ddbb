#include "http/codec.h"

#include <gtest/gtest.h>

namespace berth::http {
namespace {

using State = RequestParser::State;

struct Read {
  State state = State::NeedMore;
  int status = 0;
  std::string body;
  std::string left;
};

/// Feeds `bytes` in pieces of `piece` to a parser with these limits.
Read readRequest(std::string_view bytes, std::size_t header_limit = 1024, std::size_t body_limit = 1024,
                 std::size_t piece = 4096) {
  RequestParser parser(header_limit);
  Read read;
  while (true) {
    read.state = parser.feed(read.left);
    if (read.state == State::HeadDone && !parser.limitBody(body_limit)) read.state = State::Failed;
    if (read.state == State::Failed) read.status = parser.error().status;
    if (read.state == State::Done) read.body = parser.takeBody();
    if (read.state == State::Done || read.state == State::Failed) return read;
    if (read.state == State::HeadDone) continue;
    if (bytes.empty()) return read;
    read.left.append(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
}

TEST(CodecTest, ARequestIsTheSameInOnePieceAndByteByByte) {
  const std::string_view bytes = "PUT /x HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\r\nhello";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
    const Read read = readRequest(bytes, 1024, 1024, piece);
    EXPECT_EQ(read.state, State::Done);
    EXPECT_EQ(read.body, "hello");
  }
}

TEST(CodecTest, TheNextRequestStaysInTheBuffer) {
  const Read read = readRequest("GET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n");
  EXPECT_EQ(read.state, State::Done);
  EXPECT_EQ(read.left, "GET /2 HTTP/1.1\r\n\r\n");
}

TEST(CodecTest, ABodyMayBeAsLongAsTheLimitAndNoLonger) {
  EXPECT_EQ(readRequest("PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 1024, 5).state, State::Done);
  EXPECT_EQ(readRequest("PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 1024, 4).status, 413);
  const std::string_view chunked =
      "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
  EXPECT_EQ(readRequest(chunked, 1024, 5).body, "hello");
  EXPECT_EQ(readRequest(chunked, 1024, 4).status, 413);
}

TEST(CodecTest, AHeadMayBeAsLongAsTheLimitAndNoLonger) {
  const std::string head = "GET / HTTP/1.1\r\nA: " + std::string(100, 'x') + "\r\n\r\n";
  EXPECT_EQ(readRequest(head, head.size()).state, State::Done);
  EXPECT_EQ(readRequest(head, head.size() - 1).status, 431);
  EXPECT_EQ(readRequest("GET /" + std::string(2000, 'x'), 1024).status, 431);
}

TEST(CodecTest, AmbiguousFramingIsRefused) {
  for (const char* bytes : {
           "PUT / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
           "PUT / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
           "PUT / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
           "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
           "GET / HTTP/2.0\r\n\r\n",
           "GET  / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nbad name: x\r\n\r\n",
           "GET / HTTP/1.1\r\n folded: x\r\n\r\n",
       }) {
    EXPECT_EQ(readRequest(bytes).status, 400) << bytes;
  }
}

TEST(CodecTest, AnEndlessChunkExtensionIsRefused) {
  const std::string bytes = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(5000, 'x');
  EXPECT_EQ(readRequest(bytes, 1024, 1024, 100).status, 400);
}

TEST(CodecTest, TheHeadIsReadWithLowerCaseNames) {
  std::string buffer =
      "POST /a?b=c HTTP/1.1\r\nX-Thing: Value\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n";
  RequestParser parser(1024);
  ASSERT_EQ(parser.feed(buffer), State::HeadDone);
  EXPECT_EQ(parser.head().method, "POST");
  EXPECT_EQ(parser.head().target, "/a?b=c");
  EXPECT_EQ(findHeader(parser.head().headers, "x-thing"), "Value");
  EXPECT_TRUE(parser.head().keep_alive);
  EXPECT_TRUE(parser.head().expects_continue);
}

TEST(CodecTest, ChunksCarryTheirLengthInHexAndNeverEndTheBody) {
  EXPECT_EQ(chunk("hello world, hello"), "12\r\nhello world, hello\r\n");
  EXPECT_EQ(chunk(""), "");
}

}  // namespace
}  // namespace berth::http
