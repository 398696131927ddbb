#include "http/server.h"

#include <future>

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/dispatch.h"
#include "http/testing/raw_client.h"
#include "http/testing/server_fixture.h"

namespace berth::http {
namespace {

using testing::get;
using ::testing::HasSubstr;
using testing::RawClient;
using testing::RawResponse;
using testing::say;
using testing::ServerFixture;

Route echo(std::size_t max_body_bytes = kMaxBodyBytes) {
  Route route{"POST", "/echo", Role::Operator, {}, ""};
  route.handler = [](const ServerRequest& request) -> Result<ServerResponse> {
    return ServerResponse{200, "text/plain", request.body};
  };
  route.max_body_bytes = max_body_bytes;
  return route;
}

std::string post(std::string_view path, std::string_view body) {
  return "POST " + std::string(path) + " HTTP/1.1\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + std::string(body);
}

TEST(ServerTest, AConnectionServesRequestAfterRequest) {
  ServerFixture fixture({get("/hello", say("hello")), echo()});
  RawClient client(fixture.path());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.send("GET /hello HTTP/1.1\r\n\r\n"));
    const RawResponse response = client.receive();
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "hello");
    EXPECT_THAT(response.head, HasSubstr("x-ms-request-id: "));
  }
  ASSERT_TRUE(client.send(post("/echo", "some text")));
  EXPECT_EQ(client.receive().body, "some text");
}

TEST(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  ServerFixture fixture({get("/1", say("one")), get("/2", say("two")), echo()});
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send("GET /1 HTTP/1.1\r\n\r\n" + post("/echo", "body") + "GET /2 HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(client.receive().body, "one");
  EXPECT_EQ(client.receive().body, "body");
  EXPECT_EQ(client.receive().body, "two");
}

TEST(ServerTest, ConnectionCloseAndHttp10EndTheConnection) {
  ServerFixture fixture({get("/hello", say("hello"))});
  for (const char* request :
       {"GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n", "GET /hello HTTP/1.0\r\n\r\n"}) {
    RawClient client(fixture.path());
    ASSERT_TRUE(client.send(request));
    EXPECT_EQ(client.receive().body, "hello");
    EXPECT_TRUE(client.closedByServer());
  }
}

TEST(ServerTest, HeadAnswersWithTheLengthAndNoBody) {
  ServerFixture fixture({get("/hello", say("hello"))});
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send("HEAD /hello HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\n\r\n"));
  const RawResponse response = client.receive(true);
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.head, HasSubstr("content-length: 5\r\n"));
  EXPECT_EQ(client.receive().body, "hello");
}

TEST(ServerTest, UnknownPathsAre404AndWrongMethods405WithAllow) {
  ServerFixture fixture({get("/hello", say("hello")), echo()});
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send("GET /nowhere HTTP/1.1\r\n\r\n"));
  const RawResponse unknown = client.receive();
  EXPECT_EQ(unknown.status, 404);
  EXPECT_THAT(unknown.body, HasSubstr("\"NotFound\""));
  ASSERT_TRUE(client.send("DELETE /hello HTTP/1.1\r\n\r\n"));
  const RawResponse wrong = client.receive();
  EXPECT_EQ(wrong.status, 405);
  EXPECT_THAT(wrong.head, HasSubstr("allow: get, head\r\n"));
  ASSERT_TRUE(client.send("GET /bad%zz HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(client.receive().status, 400);
}

TEST(ServerTest, ABodyMayBeAsLongAsItsRouteAllowsAndNoLonger) {
  ServerFixture fixture({echo(10)});
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send(post("/echo", "0123456789")));
  EXPECT_EQ(client.receive().status, 200);
  ASSERT_TRUE(client.send(post("/echo", "0123456789x")));
  const RawResponse response = client.receive();
  EXPECT_EQ(response.status, 413);
  EXPECT_THAT(response.body, HasSubstr("\"InvalidArgument\""));
  EXPECT_TRUE(client.closedByServer());
}

TEST(ServerTest, AHeadMayBeAsLongAsTheLimitAndNoLonger) {
  const std::string request = "GET /hello HTTP/1.1\r\nA: " + std::string(200, 'x') + "\r\n\r\n";
  ServerLimits limits;
  limits.header_bytes = request.size();
  ServerFixture fixture({get("/hello", say("hello"))}, limits);
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send(request));
  EXPECT_EQ(client.receive().status, 200);
  ASSERT_TRUE(client.send("GET /hello HTTP/1.1\r\nA: " + std::string(201, 'x') + "\r\n\r\n"));
  EXPECT_EQ(client.receive().status, 431);
  EXPECT_TRUE(client.closedByServer());
}

TEST(ServerTest, AmbiguousRequestsAreAnswered400AndEndTheConnection) {
  ServerFixture fixture({echo()});
  for (const char* request :
       {"POST /echo HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n", "nonsense\r\n\r\n"}) {
    RawClient client(fixture.path());
    ASSERT_TRUE(client.send(request));
    EXPECT_EQ(client.receive().status, 400) << request;
    EXPECT_TRUE(client.closedByServer());
  }
}

TEST(ServerTest, AChunkedBodyAndExpect100AreUnderstood) {
  ServerFixture fixture({echo()});
  RawClient client(fixture.path());
  ASSERT_TRUE(
      client.send("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.receive().status, 100);
  ASSERT_TRUE(client.send("5\r\nhello\r\n0\r\n\r\n"));
  EXPECT_EQ(client.receive().body, "hello");
}

TEST(ServerTest, ARequestThatTakesTooLongToArriveIsCutOff) {
  ServerLimits limits;
  limits.read_timeout = std::chrono::milliseconds(30);
  ServerFixture fixture({echo()}, limits);
  RawClient half_head(fixture.path());
  ASSERT_TRUE(half_head.send("POST /echo HTT"));
  RawClient half_body(fixture.path());
  ASSERT_TRUE(half_body.send("POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel"));
  EXPECT_TRUE(half_head.closedByServer());
  EXPECT_TRUE(half_body.closedByServer());
}

TEST(ServerTest, AnIdleConnectionIsClosed) {
  ServerLimits limits;
  limits.idle_timeout = std::chrono::milliseconds(30);
  ServerFixture fixture({echo()}, limits);
  RawClient silent(fixture.path());
  EXPECT_TRUE(silent.closedByServer());
}

TEST(ServerTest, ASlowClientDoesNotHoldUpAnother) {
  ServerFixture fixture({get("/hello", say("hello"))});
  RawClient slow(fixture.path());
  ASSERT_TRUE(slow.send("GET /hel"));
  RawClient quick(fixture.path());
  ASSERT_TRUE(quick.send("GET /hello HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(quick.receive().body, "hello");
  ASSERT_TRUE(slow.send("lo HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(slow.receive().body, "hello");
}

TEST(ServerTest, OneConnectionPastTheLimitIsTold503) {
  ServerLimits limits;
  limits.connections = 1;
  ServerFixture fixture({get("/hello", say("hello"))}, limits);
  RawClient first(fixture.path());
  ASSERT_TRUE(first.send("GET /hello HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(first.receive().status, 200);
  RawClient second(fixture.path());
  EXPECT_EQ(second.receive().status, 503);
  EXPECT_TRUE(second.closedByServer());
}

TEST(ServerTest, WaitingClientsLeaveTheShortHandlersAlone) {
  std::promise<void> release;
  const std::shared_future<void> released(release.get_future());
  ServerFixture fixture(
      {get("/hello", say("hello")), get(
                                        "/wait",
                                        [released](const ServerRequest&) -> Result<ServerResponse> {
                                          released.wait();
                                          return ServerResponse{};
                                        },
                                        Duration::Long)});
  std::vector<RawClient> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back(fixture.path());
    ASSERT_TRUE(waiting.back().send("GET /wait HTTP/1.1\r\n\r\n"));
  }
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send("GET /hello HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(client.receive().body, "hello");
  ASSERT_TRUE(client.send("GET /wait HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(client.receive().status, 503);
  release.set_value();
  for (RawClient& waiter : waiting) EXPECT_EQ(waiter.receive().status, 200);
}

TEST(ServerTest, AHandlersErrorAndExceptionBecomeErrorBodies) {
  ServerFixture fixture(
      {get("/refused",
           [](const ServerRequest&) -> Result<ServerResponse> {
             return fail(Error{ErrorCode::Refused, "no", "InsufficientGpu", {{"GPU 0", "held", "free it"}}});
           }),
       get("/throws", [](const ServerRequest&) -> Result<ServerResponse> {
         throw std::runtime_error("secret detail");
       })});
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send("GET /refused HTTP/1.1\r\n\r\n"));
  const RawResponse refused = client.receive();
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(boost::json::parse(refused.body).at("error").at("reason"), "InsufficientGpu");
  ASSERT_TRUE(client.send("GET /throws HTTP/1.1\r\n\r\n"));
  const RawResponse thrown = client.receive();
  EXPECT_EQ(thrown.status, 500);
  EXPECT_EQ(thrown.body.find("secret"), std::string::npos);
}

TEST(ServerTest, ARoleTooSmallIs403) {
  ServerFixture fixture({get("/hello", say("hello")), echo()}, {}, Role::Reader);
  RawClient client(fixture.path());
  ASSERT_TRUE(client.send(post("/echo", "x") + "GET /hello HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(client.receive().status, 403);
  EXPECT_EQ(client.receive().status, 200);
}

Peer local(const PeerCredentials& credentials) { return {credentials, {}}; }

TEST(ServerTest, PeerCredentialsTellOwnersFromOperators) {
  const PeerCredentialAuthenticator authenticator(500);
  EXPECT_EQ(authenticator.authenticate(local({1, 0, 0}), {})->role, Role::Owner);
  EXPECT_EQ(authenticator.authenticate(local({1, 500, 5}), {})->role, Role::Owner);
  EXPECT_EQ(authenticator.authenticate(local({1, 501, 5}), {})->role, Role::Operator);
  EXPECT_EQ(authenticator.authenticate(local({1, 501, 5}), {})->name, "uid:501");
  EXPECT_EQ(authenticator.authenticate(Peer{std::nullopt, "127.0.0.1:1"}, {}).error().code,
            ErrorCode::Denied);
}

TEST(ServerTest, RequestIdsAreUuidsAndDiffer) {
  EXPECT_THAT(newRequestId(), ::testing::MatchesRegex("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"));
  EXPECT_NE(newRequestId(), newRequestId());
}

TEST(ServerTest, QueryValuesAreChecked) {
  ServerRequest request;
  request.query = {{"follow", "true"}, {"tail", "10"}, {"bad", "maybe"}};
  EXPECT_TRUE(request.queryFlag("follow").value());
  EXPECT_FALSE(request.queryFlag("absent").value());
  EXPECT_FALSE(request.queryFlag("bad"));
  EXPECT_EQ(request.queryNumber("tail", 5, 10).value(), 10);
  EXPECT_FALSE(request.queryNumber("tail", 5, 9));
  EXPECT_EQ(request.queryNumber("absent", 5, 10).value(), 5);
  EXPECT_FALSE(request.queryNumber("bad", 5, 10));
}

}  // namespace
}  // namespace berth::http
