#include <atomic>
#include <condition_variable>
#include <mutex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "http/server.h"
#include "http/testing/server_fixture.h"
#include "http/testing/tls_client.h"
#include "tls/certificates.h"

namespace berth::http {
namespace {

using testing::FixedAuthenticator;
using testing::get;
using ::testing::HasSubstr;
using testing::say;
using ::testing::StartsWith;
using testing::TlsClient;

constexpr const char* kGetHello = "GET /hello HTTP/1.1\r\nHost: box\r\n\r\n";

/// Certificates are made once for all tests: each costs some milliseconds.
struct Certificates {
  tls::KeyPair authority = *tls::makeAuthority("Test", std::chrono::system_clock::now());
  tls::KeyPair server =
      *tls::issueServer(authority, {{"box", "localhost"}, {"127.0.0.1"}}, std::chrono::system_clock::now());
};

const Certificates& certificates() {
  static const Certificates kCertificates;
  return kCertificates;
}

class TlsFixture {
 public:
  explicit TlsFixture(std::vector<Route> routes, const ServerLimits& limits = {}) {
    const TcpListenEndpoint endpoint{
        {"127.0.0.1", 0}, certificates().server.certificate_pem, certificates().server.key_pem};
    auto server = Server::start({endpoint}, Router(std::move(routes)),
                                {authenticator_, short_pool_, long_pool_}, limits);
    if (!server) throw std::runtime_error(server.error().message);
    server_ = *std::move(server);
  }

  std::uint16_t port() const { return server_->tcpAddresses().front().port; }
  Server& server() { return *server_; }

 private:
  FixedAuthenticator authenticator_{Role::Reader};
  WorkerPool short_pool_{"short", 2, 16};
  WorkerPool long_pool_{"long", 4, 0};
  std::unique_ptr<Server> server_;
};

std::string authority() { return certificates().authority.certificate_pem; }

TEST(ServerTlsTest, AVerifiedConnectionServesRequestAfterRequest) {
  TlsFixture fixture({get("/hello", say("hello"))});
  TlsClient client(fixture.port(), authority(), "box");
  ASSERT_TRUE(client.agreed());
  for (int i = 0; i < 3; ++i) EXPECT_THAT(client.ask(kGetHello, "hello"), StartsWith("HTTP/1.1 200 OK"));
}

TEST(ServerTlsTest, AClientThatExpectsAnotherNameIsNotServed) {
  TlsFixture fixture({get("/hello", say("hello"))});
  EXPECT_FALSE(TlsClient(fixture.port(), authority(), "other").agreed());
}

TEST(ServerTlsTest, Tls12IsSpokenAndNothingOlder) {
  TlsFixture fixture({get("/hello", say("hello"))});
  EXPECT_TRUE(TlsClient(fixture.port(), authority(), "box", TLS1_2_VERSION).agreed());
  EXPECT_FALSE(TlsClient(fixture.port(), authority(), "box", TLS1_1_VERSION).agreed());
}

TEST(ServerTlsTest, AConnectionEndsByTlsOwnLastMessage) {
  TlsFixture fixture({get("/hello", say("hello"))});
  TlsClient client(fixture.port(), authority(), "box");
  EXPECT_THAT(client.ask("GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n", "hello"), HasSubstr("200 OK"));
  EXPECT_TRUE(client.endedProperly());
}

TEST(ServerTlsTest, WhoDoesNotFinishTheHandshakeIsCutOff) {
  ServerLimits limits;
  limits.handshake_timeout = std::chrono::milliseconds(30);
  limits.network_connections = 1;
  TlsFixture fixture({get("/hello", say("hello"))}, limits);
  const os::UniqueFd silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(fixture.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(silent.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  char byte = 0;
  EXPECT_LE(::recv(silent.get(), &byte, 1, 0), 0);
  // The one place is free again.
  EXPECT_TRUE(TlsClient(fixture.port(), authority(), "box").agreed());
}

TEST(ServerTlsTest, ConnectionsPastTheNetworksShareAreClosed) {
  ServerLimits limits;
  limits.network_connections = 1;
  TlsFixture fixture({get("/hello", say("hello"))}, limits);
  TlsClient first(fixture.port(), authority(), "box");
  ASSERT_TRUE(first.agreed());
  EXPECT_FALSE(TlsClient(fixture.port(), authority(), "box").agreed());
  EXPECT_THAT(first.ask(kGetHello, "hello"), HasSubstr("200 OK"));
}

TEST(ServerTlsTest, CorrelationIdsComeBackAndRequestIdsAreOurs) {
  TlsFixture fixture({get("/hello", say("hello"))});
  TlsClient client(fixture.port(), authority(), "box");
  const std::string answer =
      client.ask("GET /hello HTTP/1.1\r\nx-ms-correlation-request-id: abc-123\r\n\r\n", "hello");
  EXPECT_THAT(answer, HasSubstr("x-ms-correlation-request-id: abc-123\r\n"));
  EXPECT_THAT(answer, HasSubstr("x-ms-request-id: "));
  const std::string odd =
      client.ask("GET /hello HTTP/1.1\r\nx-ms-correlation-request-id: a b\r\n\r\n", "hello");
  EXPECT_THAT(odd, ::testing::Not(HasSubstr("a b")));
}

TEST(ServerTlsTest, ADrainLetsTheRequestAtWorkFinish) {
  std::mutex mutex;
  std::condition_variable changed;
  bool entered = false;
  // Returns when the drain has asked it to stop.
  const Handler slow = [&](const ServerRequest& request) -> Result<ServerResponse> {
    std::unique_lock lock(mutex);
    entered = true;
    changed.notify_all();
    std::condition_variable_any stopped;
    stopped.wait(lock, request.stop, [] { return false; });
    return ServerResponse{200, "text/plain", "finished"};
  };
  TlsFixture fixture({get("/slow", slow)});
  TlsClient client(fixture.port(), authority(), "box");
  ASSERT_TRUE(client.send("GET /slow HTTP/1.1\r\n\r\n"));
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return entered; });
  }
  std::jthread stopping([&] { fixture.server().stop(std::chrono::seconds(10)); });
  EXPECT_THAT(client.ask("", "finished"), HasSubstr("finished"));
}

TEST(ServerTlsTest, AKeyOfAnotherCertificateStopsTheStart) {
  FixedAuthenticator authenticator(Role::Reader);
  WorkerPool pool("short", 1, 1);
  const auto started = Server::start(
      {TcpListenEndpoint{
          {"127.0.0.1", 0}, certificates().server.certificate_pem, certificates().authority.key_pem}},
      Router({}), {authenticator, pool, pool});
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace berth::http
