// A server with its pools on a unix socket of its own, for tests.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "http/server.h"
#include "http/testing/temp_dir.h"

namespace berth::http::testing {

/// Lets everyone in with one role.
class FixedAuthenticator final : public Authenticator {
 public:
  explicit FixedAuthenticator(Role role) : role_(role) {}
  Result<Principal> authenticate(const Peer& /*peer*/, const Headers& /*headers*/) const override {
    return Principal{"tester", role_};
  }

 private:
  Role role_;
};

class ServerFixture {
 public:
  explicit ServerFixture(std::vector<Route> routes, const ServerLimits& limits = {}, Role role = Role::Owner)
      : authenticator_(role) {
    auto server = Server::start({UnixListenEndpoint{path(), ""}}, Router(std::move(routes)),
                                {authenticator_, short_pool_, long_pool_}, limits);
    if (!server) throw std::runtime_error(server.error().message);
    server_ = *std::move(server);
  }

  std::string path() const { return dir_.at("s"); }
  Server& server() { return *server_; }

 private:
  TempDir dir_;
  FixedAuthenticator authenticator_;
  WorkerPool short_pool_{"short", 2, 16};
  WorkerPool long_pool_{"long", 4, 0};
  std::unique_ptr<Server> server_;
};

inline Route get(std::string pattern, Handler handler, Duration duration = Duration::Short) {
  return {"GET", std::move(pattern), Role::Reader, std::move(handler), "", {}, duration};
}

/// Answers with this text.
inline Handler say(const std::string& text) {
  return [text](const ServerRequest&) -> Result<ServerResponse> {
    return ServerResponse{200, "text/plain", text};
  };
}

}  // namespace berth::http::testing
