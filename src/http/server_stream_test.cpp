// Streaming responses and draining.
#include <condition_variable>
#include <future>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/server.h"
#include "http/testing/raw_client.h"
#include "http/testing/server_fixture.h"

namespace berth::http {
namespace {

using testing::get;
using ::testing::HasSubstr;
using testing::RawClient;
using testing::say;
using testing::ServerFixture;

Route streaming(BodyStream stream) {
  return get(
      "/stream",
      [stream = std::move(stream)](const ServerRequest&) -> Result<ServerResponse> {
        return ServerResponse{200, "text/event-stream", "", {}, stream};
      },
      Duration::Long);
}

/// Waits until `stop` is asked for.
void waitFor(const std::stop_token& stop) {
  std::promise<void> stopped;
  const std::stop_callback callback(stop, [&stopped] { stopped.set_value(); });
  stopped.get_future().wait();
}

constexpr std::string_view kGet = "GET /stream HTTP/1.1\r\n\r\n";

TEST(ServerStreamTest, PiecesArriveAsChunksWhileTheHandlerRuns) {
  std::promise<void> seen;
  std::shared_future<void> was_seen(seen.get_future());
  ServerFixture fixture({streaming([was_seen](BodyWriter& writer) {
                           EXPECT_TRUE(writer.write("first\n"));
                           was_seen.wait();
                           EXPECT_TRUE(writer.write("second\n"));
                         }),
                         get("/hello", say("hello"))});
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send(kGet));
  ASSERT_TRUE(client.receiveUntil("first"));
  seen.set_value();
  EXPECT_EQ(client.receive().body, "first\nsecond\n");
  ASSERT_TRUE(client.send("GET /hello HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(client.receive().body, "hello");
}

TEST(ServerStreamTest, Http10GetsTheBareBytesUntilTheEnd) {
  ServerFixture fixture({streaming([](BodyWriter& writer) { EXPECT_TRUE(writer.write("bytes")); })});
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_EQ(client.receive().body, "bytes");
  EXPECT_TRUE(client.closedByServer());
}

TEST(ServerStreamTest, AHandlerLearnsThatItsClientIsGone) {
  std::promise<Result<void>> outcome;
  ServerFixture fixture({streaming([&outcome](BodyWriter& writer) {
    EXPECT_TRUE(writer.write("hello"));
    waitFor(writer.stop());
    outcome.set_value(writer.write("more"));
  })});
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send(kGet));
  ASSERT_TRUE(client.receiveUntil("hello"));
  client.close();
  const Result<void> written = outcome.get_future().get();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::Unavailable);
}

TEST(ServerStreamTest, ALongPollLearnsThatItsClientIsGone) {
  std::promise<void> stopped;
  ServerFixture fixture({get(
      "/poll",
      [&stopped](const ServerRequest& request) -> Result<ServerResponse> {
        waitFor(request.stop);
        stopped.set_value();
        return ServerResponse{};
      },
      Duration::Long)});
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send("GET /poll HTTP/1.1\r\n\r\n"));
  client.shutdownSending();
  stopped.get_future().wait();
  EXPECT_EQ(client.receive().status, 200);  // It only stopped sending.
}

TEST(ServerStreamTest, AClientThatDoesNotReadIsCutOffAndTheBufferStaysBounded) {
  ServerLimits limits;
  limits.stall_timeout = std::chrono::milliseconds(50);
  limits.stream_buffer_bytes = 4096;
  std::promise<Result<void>> outcome;
  ServerFixture fixture({streaming([&outcome](BodyWriter& writer) {
                          const std::string piece(100000, 'x');
                          Result<void> written;
                          while (written) written = writer.write(piece);
                          outcome.set_value(written);
                        })},
                        limits);
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send(kGet));
  const Result<void> written = outcome.get_future().get();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::Timeout);
  EXPECT_TRUE(client.closedByServer());
}

TEST(ServerStreamTest, ABodyLargerThanTheBufferArrivesWhole) {
  ServerLimits limits;
  limits.stream_buffer_bytes = 1000;
  const std::string big(3'000'000, 'y');
  ServerFixture fixture({streaming([&big](BodyWriter& writer) { EXPECT_TRUE(writer.write(big)); })}, limits);
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send(kGet));
  EXPECT_EQ(client.receive().body, big);
}

TEST(ServerStreamTest, DrainFinishesTheRequestAtWorkAndClosesIdleConnections) {
  std::promise<void> started;
  ServerFixture fixture({get("/slow",
                             [&started](const ServerRequest& request) -> Result<ServerResponse> {
                               started.set_value();
                               waitFor(request.stop);
                               return ServerResponse{200, "text/plain", "done"};
                             }),
                         get("/hello", say("hello"))});
  RawClient idle(fixture.path());
  ASSERT_TRUE(idle.send("GET /hello HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(idle.receive().status, 200);
  RawClient busy(fixture.path());
  ASSERT_TRUE(busy.send("GET /slow HTTP/1.1\r\n\r\n"));
  started.get_future().wait();

  fixture.server().stop(std::chrono::seconds(20));

  const auto response = busy.receive();
  EXPECT_EQ(response.body, "done");
  EXPECT_THAT(response.head, HasSubstr("connection: close"));
  EXPECT_TRUE(idle.closedByServer());
  EXPECT_FALSE(RawClient(fixture.path()).connected());
}

TEST(ServerStreamTest, DrainCutsOffAHandlerThatDoesNotEnd) {
  std::promise<void> started;
  std::promise<void> release;
  std::shared_future<void> released(release.get_future());
  ServerFixture fixture({get("/stuck", [&started, released](const ServerRequest&) -> Result<ServerResponse> {
    started.set_value();
    released.wait();
    return ServerResponse{};
  })});
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send("GET /stuck HTTP/1.1\r\n\r\n"));
  started.get_future().wait();
  fixture.server().stop(std::chrono::milliseconds(20));
  release.set_value();
}

TEST(ServerStreamTest, AServerSentEventCarriesItsIdAndEveryLine) {
  EXPECT_EQ(serverSentEvent("12", "gpu.owner", "a\nb"), "id: 12\nevent: gpu.owner\ndata: a\ndata: b\n\n");
  EXPECT_EQ(serverSentEvent("", "", "x"), "data: x\n\n");
}

}  // namespace
}  // namespace berth::http
