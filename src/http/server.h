// The HTTP/1.1 server: one event-loop thread (Boost.Asio) reads and writes, worker pools run the handlers. It
// listens on unix sockets, in the open, and on TCP, always inside of TLS.
//
// A client cannot hold up another: what it sends and reads has deadlines, what it may send and leave unread
// has limits, and every connection has at most one request at work. Pipelined requests are answered in order.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "base/error.h"
#include "http/authenticator.h"
#include "http/router.h"
#include "http/tcp_listener.h"
#include "http/worker_pool.h"

namespace berth::http {

inline constexpr std::size_t kMaxHeaderBytes = std::size_t{16} * 1024;
inline constexpr std::size_t kMaxConnections = 256;
inline constexpr std::size_t kMaxNetworkConnections = 192;
inline constexpr std::size_t kStreamBufferBytes = std::size_t{256} * 1024;
inline constexpr std::chrono::milliseconds kHandshakeTimeout = std::chrono::seconds(10);
inline constexpr std::chrono::milliseconds kIdleTimeout = std::chrono::seconds(75);
inline constexpr std::chrono::milliseconds kReadTimeout = std::chrono::seconds(30);
inline constexpr std::chrono::milliseconds kStallTimeout = std::chrono::seconds(30);

struct ServerLimits {
  std::size_t header_bytes = kMaxHeaderBytes;                // Request line and headers; more is 431.
  std::size_t connections = kMaxConnections;                 // One more is answered 503 and closed.
  std::size_t network_connections = kMaxNetworkConnections;  // Of these; the rest is the unix sockets'.
  std::size_t stream_buffer_bytes = kStreamBufferBytes;
  std::chrono::milliseconds handshake_timeout = kHandshakeTimeout;
  std::chrono::milliseconds idle_timeout = kIdleTimeout;    // Between requests.
  std::chrono::milliseconds read_timeout = kReadTimeout;    // From a request's first byte to its last.
  std::chrono::milliseconds stall_timeout = kStallTimeout;  // A client that reads nothing of its response.
};

struct UnixListenEndpoint {
  std::string path;
  std::string group;  // Empty: the process's.
};
struct TcpListenEndpoint {
  TcpAddress address;           // Port 0: the kernel chooses; see Server::tcpAddresses.
  std::string certificate_pem;  // The server's, then those between it and its authority.
  std::string key_pem;
};
using ListenEndpoint = std::variant<UnixListenEndpoint, TcpListenEndpoint>;

/// What the server uses and does not own; all of it outlives the server, and the pools are destroyed before
/// whatever the handlers use.
struct ServerCollaborators {
  const Authenticator& authenticator;
  WorkerPool& short_pool;  // For handlers of Duration::Short.
  WorkerPool& long_pool;   // Its size limits how many clients can wait or follow at a time; more get 503.
};

class Server {
 public:
  /// Serves once it returns. Fails as listenUnix and listenTcp do, with InvalidArgument for a certificate or
  /// key that is none, and with Io when the kernel has no room for more.
  static Result<std::unique_ptr<Server>> start(const std::vector<ListenEndpoint>& endpoints, Router router,
                                               const ServerCollaborators& collaborators,
                                               const ServerLimits& limits = {});
  /// stop() without grace.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Where it listens on TCP, in the order of the endpoints.
  const std::vector<TcpAddress>& tcpAddresses() const;

  /// Stops listening, closes idle connections, asks running requests to stop and waits for their answers to
  /// be sent, at most for `grace`; what is left then is cut off. Blocks; not from a handler.
  void stop(std::chrono::milliseconds grace);

 private:
  class Core;
  class Session;
  explicit Server(std::shared_ptr<Core> core);

  std::shared_ptr<Core> core_;
  std::jthread loop_;
};

}  // namespace berth::http
