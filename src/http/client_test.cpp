#include "http/client.h"

#include <filesystem>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace berth::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

// A server of one connection: takes the request, says `answer`, then closes, or holds the connection open
// until the client closes it.
class CannedServer {
 public:
  enum class Then { Close, Hold };

  explicit CannedServer(std::string answer, Then then = Then::Close)
      : directory_(std::filesystem::temp_directory_path() / ("berth-http-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(directory_);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::abort();
    if (::listen(listener_, 1) != 0) std::abort();
    thread_ = std::jthread([this, answer = std::move(answer), then] { serve(answer, then); });
  }
  CannedServer(const CannedServer&) = delete;
  CannedServer& operator=(const CannedServer&) = delete;
  ~CannedServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    std::filesystem::remove_all(directory_);
  }

  std::string path() const { return directory_ / "s"; }
  Client client() const { return Client(UnixEndpoint{path()}); }
  /// What the client sent. After the call only.
  const std::string& received() {
    if (thread_.joinable()) {
      ::shutdown(listener_, SHUT_RDWR);
      thread_.join();
      thread_ = std::jthread([] {});
    }
    return received_;
  }

 private:
  void serve(const std::string& answer, Then then) {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    char buffer[4096];
    while (received_.find("\r\n\r\n") == std::string::npos) {
      const ssize_t got = ::read(connection, buffer, sizeof buffer);
      if (got <= 0) break;
      received_.append(buffer, static_cast<std::size_t>(got));
    }
    std::string_view rest = answer;
    while (!rest.empty()) {
      const ssize_t sent = ::send(connection, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) break;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
    if (then == Then::Hold) {
      while (::read(connection, buffer, sizeof buffer) > 0) {
      }
    }
    ::close(connection);
  }

  std::filesystem::path directory_;
  int listener_ = -1;
  std::string received_;
  std::jthread thread_;
};

Deadline soon() { return steady_clock::now() + seconds(20); }

Result<Response> ask(const std::string& answer) {
  const CannedServer server(answer);
  return server.client().request({}, soon());
}

TEST(HttpClientTest, ABodyWithALengthIsReadWhole) {
  const auto response = ask("HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-Kind: a\r\n\r\nhello");
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 201);
  EXPECT_EQ(response->body, "hello");
  EXPECT_EQ(response->header("x-kind"), "a");
  EXPECT_EQ(response->header("missing"), std::nullopt);
}

TEST(HttpClientTest, ChunksAreJoined) {
  const auto response =
      ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n");
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "abcdefg");
}

TEST(HttpClientTest, ABodyWithoutALengthEndsWithTheConnection) {
  const auto response = ask("HTTP/1.1 200 OK\r\n\r\nuntil the end");
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->body, "until the end");
}

TEST(HttpClientTest, A204HasNoBodyAndNeedsNoClose) {
  CannedServer server("HTTP/1.1 204 No Content\r\n\r\n", CannedServer::Then::Hold);
  const auto response = server.client().request({}, soon());
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 204);
  EXPECT_EQ(response->body, "");
}

TEST(HttpClientTest, AnErrorStatusIsAnAnswer) {
  const auto response = ask("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "no");
}

TEST(HttpClientTest, InterimAnswersAreSkippedUpToTheLimit) {
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  std::string text;
  for (int i = 0; i < kMaxInterimResponses; ++i) text += interim;
  const std::string last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const auto at_limit = ask(text + last);
  ASSERT_TRUE(at_limit) << at_limit.error().message;
  EXPECT_EQ(at_limit->body, "ok");
  const auto past_limit = ask(text + interim + last);
  ASSERT_FALSE(past_limit);
  EXPECT_EQ(past_limit.error().code, ErrorCode::Unavailable);
}

TEST(HttpClientTest, AnAnswerCutOffAnywhereIsAFailure) {
  const std::string whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    SCOPED_TRACE("cut at byte " + std::to_string(cut));
    const auto response = ask(whole.substr(0, cut));
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, ErrorCode::Unavailable) << response.error().message;
  }
}

TEST(HttpClientTest, WhatIsNotHttpIsSaidToBeNone) {
  for (const std::string garbage :
       {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    SCOPED_TRACE(garbage);
    const auto response = ask(garbage);
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, ErrorCode::Unavailable);
    EXPECT_NE(response.error().message.find("not proper HTTP"), std::string::npos)
        << response.error().message;
  }
}

TEST(HttpClientTest, HeadersPastTheLimitAreRefused) {
  const auto response =
      ask("HTTP/1.1 200 OK\r\nX: " + std::string(kMaxResponseHeaderBytes, 'x') + "\r\n\r\n");
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::Io);
}

TEST(HttpClientTest, ABodyOfExactlyTheLimitIsTakenAndOneByteMoreIsNot) {
  const auto at_limit = ask("HTTP/1.1 200 OK\r\n\r\n" + std::string(kMaxResponseBytes, 'x'));
  ASSERT_TRUE(at_limit) << at_limit.error().message;
  EXPECT_EQ(at_limit->body.size(), kMaxResponseBytes);
  const auto past_limit = ask("HTTP/1.1 200 OK\r\n\r\n" + std::string(kMaxResponseBytes + 1, 'x'));
  ASSERT_FALSE(past_limit);
  EXPECT_EQ(past_limit.error().code, ErrorCode::Io);
}

TEST(HttpClientTest, AServerThatStaysSilentRunsIntoTheDeadline) {
  CannedServer server("", CannedServer::Then::Hold);
  const auto response = server.client().request({}, steady_clock::now() + milliseconds(50));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::Timeout);
}

TEST(HttpClientTest, ABodyThatStallsRunsIntoTheDeadline) {
  CannedServer server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", CannedServer::Then::Hold);
  const auto response = server.client().request({}, steady_clock::now() + milliseconds(50));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::Timeout);
}

TEST(HttpClientTest, ADeadlineInThePastSendsNothing) {
  CannedServer server("HTTP/1.1 200 OK\r\n\r\n");
  const auto response = server.client().request({}, steady_clock::now() - seconds(1));
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::Timeout);
  EXPECT_EQ(server.received(), "");
}

TEST(HttpClientTest, NobodyListeningIsUnavailableAndNamesTheSocket) {
  const auto response = Client(UnixEndpoint{"/nonexistent/berth.sock"}).request({}, soon());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::Unavailable);
  EXPECT_NE(response.error().message.find("/nonexistent/berth.sock"), std::string::npos);
}

TEST(HttpClientTest, TheRequestIsWrittenAsGiven) {
  CannedServer server("HTTP/1.1 204 No Content\r\n\r\n");
  const Request request{"POST", "/v1/x?name=a%20b", {{"Content-Type", "application/json"}}, "{}"};
  ASSERT_TRUE(server.client().request(request, soon()));
  const std::string& sent = server.received();
  EXPECT_EQ(sent.find("POST /v1/x?name=a%20b HTTP/1.1\r\n"), 0U) << sent;
  EXPECT_NE(sent.find("Content-Type: application/json\r\n"), std::string::npos) << sent;
  EXPECT_NE(sent.find("Content-Length: 2\r\n"), std::string::npos) << sent;
  EXPECT_NE(sent.find("Host: localhost\r\n"), std::string::npos) << sent;
}

TEST(HttpClientTest, TextThatWouldForgeARequestIsRefused) {
  const Client client(UnixEndpoint{"/nonexistent/berth.sock"});
  const Request forged[] = {{"GET /", "/", {}, ""},
                            {"", "/", {}, ""},
                            {"GET", "/ HTTP/1.1\r\nX: y", {}, ""},
                            {"GET", "no-slash", {}, ""},
                            {"GET", "/", {{"A\r\nB", "c"}}, ""},
                            {"GET", "/", {{"A", "b\r\nC: d"}}, ""}};
  for (const Request& request : forged) {
    const auto response = client.request(request, soon());
    ASSERT_FALSE(response);
    EXPECT_EQ(response.error().code, ErrorCode::InvalidArgument) << request.target;
  }
}

TEST(HttpClientTest, ASocketPathMayHave107BytesAndNoMore) {
  const auto at_limit = Client(UnixEndpoint{"/" + std::string(106, 'a')}).request({}, soon());
  ASSERT_FALSE(at_limit);
  EXPECT_EQ(at_limit.error().code, ErrorCode::Unavailable);
  const auto past_limit = Client(UnixEndpoint{"/" + std::string(107, 'a')}).request({}, soon());
  ASSERT_FALSE(past_limit);
  EXPECT_EQ(past_limit.error().code, ErrorCode::InvalidArgument);
}

TEST(HttpClientTest, ANameThatWouldNeedALookUpIsRefused) {
  const auto response = Client(TcpEndpoint{"example.org", 80}).request({}, soon());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::InvalidArgument);
}

TEST(HttpClientTest, AStreamHandsOverWhatHasComeBeforeTheEnd) {
  CannedServer server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
                      CannedServer::Then::Hold);
  std::string seen;
  const auto response = server.client().stream({}, soon(), {}, [&](std::string_view bytes) {
    seen += bytes;
    return seen != "first";
  });
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(seen, "first");
}

TEST(HttpClientTest, AStreamThatIsCutOffGivesItsBytesAndThenFails) {
  const CannedServer server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
  std::string seen;
  const auto response = server.client().stream({}, soon(), {}, [&](std::string_view bytes) {
    seen += bytes;
    return true;
  });
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::Unavailable);
  EXPECT_EQ(seen, "half");
}

TEST(HttpClientTest, AStreamKeepsTheBodyOfAnErrorStatusFromTheSink) {
  const CannedServer server("HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\nwhy");
  const auto response = server.client().stream({}, soon(), {}, [](std::string_view) {
    ADD_FAILURE() << "the sink was called";
    return true;
  });
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 409);
  EXPECT_EQ(response->body, "why");
}

TEST(HttpClientTest, AStopEndsASilentStream) {
  CannedServer server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
                      CannedServer::Then::Hold);
  std::stop_source stop;
  std::jthread stopper;
  const auto response = server.client().stream({}, kNoDeadline, stop.get_token(), [&](std::string_view) {
    stopper = std::jthread([&] { stop.request_stop(); });
    return true;
  });
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().reason, Client::kStopped);
}

TEST(HttpClientTest, AStopThatCameFirstSendsNothing) {
  CannedServer server("HTTP/1.1 200 OK\r\n\r\n");
  std::stop_source stop;
  stop.request_stop();
  const auto response =
      server.client().stream({}, soon(), stop.get_token(), [](std::string_view) { return true; });
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().reason, Client::kStopped);
  EXPECT_EQ(server.received(), "");
}

TEST(HttpClientTest, PercentEncodingKeepsUnreservedCharactersOnly) {
  EXPECT_EQ(percentEncode("aZ9-._~"), "aZ9-._~");
  EXPECT_EQ(percentEncode("a b/{\"\xff"), "a%20b%2F%7B%22%FF");
}

}  // namespace
}  // namespace berth::http
