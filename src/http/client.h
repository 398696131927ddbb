// A small blocking HTTP/1.1 client for services on this device: the container engine's unix socket and
// Berth's own. One connection per call, so that calls never wait for one another and a broken one leaves
// nothing behind. HTTP: RFC 9112.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace berth::http {

using Headers = std::vector<std::pair<std::string, std::string>>;
using Deadline = std::chrono::steady_clock::time_point;

inline constexpr Deadline kNoDeadline = Deadline::max();
/// The largest body `request` takes; a larger one is an error, not a cut text.
inline constexpr std::size_t kMaxResponseBytes = std::size_t{16} << 20;
/// The largest status line and headers of an answer, together.
inline constexpr std::uint32_t kMaxResponseHeaderBytes = 64 << 10;
/// Interim answers (100 to 199) before the real one.
inline constexpr int kMaxInterimResponses = 8;

struct UnixEndpoint {
  std::string path;  // At most 107 bytes.
};

struct TcpEndpoint {
  std::string
      host;  // A numeric address or "localhost": no name is looked up, which could block past a deadline.
  std::uint16_t port = 0;
};

using Endpoint = std::variant<UnixEndpoint, TcpEndpoint>;

struct Request {
  std::string method = "GET";
  std::string target = "/";  // Path and query, already percent-encoded.
  Headers headers;           // Host, Content-Length and Connection are the client's own.
  std::string body;
};

struct Response {
  int status = 0;
  Headers headers;  // In order, names as sent.
  std::string body;

  /// The first header of that name, whatever its case.
  std::optional<std::string_view> header(std::string_view name) const;
};

/// Gets body bytes as they come, never none; false ends the reading.
using BodySink = std::function<bool(std::string_view bytes)>;

/// Safe from several threads: a call shares nothing with another. No call outlives its deadline.
///
/// Errors: InvalidArgument for a request or an endpoint that cannot be written down; Unavailable when nothing
/// listens, and when the answer is cut off or is not HTTP; Denied for a socket this user may not open;
/// Timeout; Io for an answer past a limit. An answer with an error status is an answer.
class Client {
 public:
  explicit Client(Endpoint endpoint) : endpoint_(std::move(endpoint)) {}

  /// One request, the whole answer.
  Result<Response> request(const Request& request, Deadline deadline) const;

  /// One request whose body goes to `sink` piece by piece, without limit. A status outside 200 to 299 keeps
  /// its body in the Response instead, as `request` does. Ends well at the body's end and when the sink says
  /// false; when `stop` asks, at once, with Unavailable and the reason kStopped.
  Result<Response> stream(const Request& request, Deadline deadline, const std::stop_token& stop,
                          const BodySink& sink) const;

  static constexpr std::string_view kStopped = "Stopped";

 private:
  Endpoint endpoint_;
};

/// `text` with everything but letters, digits and "-._~" percent-encoded, for one piece of a target.
std::string percentEncode(std::string_view text);

}  // namespace berth::http
