// What a route's handler sees of HTTP: one request in, one response out. Transport, limits and authentication
// are the server's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/error.h"
#include "http/codec.h"

namespace berth::http {

/// What a caller may do; each role includes those before it. A route for Anyone asks nobody who they are.
enum class Role : std::uint8_t { Anyone, Reader, Operator, Owner };
std::string_view name(Role role);

/// Who calls: "uid:1000", and what they may do.
struct Principal {
  std::string name;
  Role role = Role::Reader;
};

/// The other end of a unix socket, as the kernel vouches for it (SO_PEERCRED).
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

/// The other end of a connection.
struct Peer {
  std::optional<PeerCredentials> credentials;  // None: it came over the network.
  std::string address;                         // Of a network connection, "192.0.2.1:4711".
};

struct ServerRequest {
  std::string method;
  std::string path;                           // Decoded, without the query.
  std::map<std::string, std::string> params;  // Of the route's pattern, decoded.
  std::map<std::string, std::string> query;   // Decoded; the last of a repeated key.
  Headers headers;
  std::string body;
  Principal principal;
  std::string id;              // The x-ms-request-id of the response.
  std::string correlation_id;  // Of x-ms-correlation-request-id: the client's, or the same as `id`.
  std::stop_token stop;        // Asked to stop when the client is gone or the server drains.

  /// The query's value for `key`, empty without one.
  std::string_view queryValue(std::string_view key) const;
  /// True for "?key=true"; InvalidArgument when the value is neither "true" nor "false".
  Result<bool> queryFlag(std::string_view key) const;
  /// The value as a whole number, `fallback` without one; InvalidArgument when it isn't a number or above
  /// `max`.
  Result<std::int64_t> queryNumber(std::string_view key, std::int64_t fallback, std::int64_t max) const;
};

/// Where the body of a streaming response goes, piece by piece. Used by one thread, the handler's.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;

  /// Blocks while the client's buffer is full. Unavailable: the client is gone or the server drains. Timeout:
  /// the client did not read for too long and was cut off.
  virtual Result<void> write(std::string_view bytes) = 0;
  /// Asked to stop when writing has become pointless; a writer that waits for news waits on this too.
  virtual std::stop_token stop() const = 0;
};

/// Writes the body and returns; called on the thread that ran the handler.
using BodyStream = std::function<void(BodyWriter&)>;

struct ServerResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  Headers headers{};    // Further ones.
  BodyStream stream{};  // When set, the body comes from here instead, chunked.
};

/// Blocks as long as it likes within its route's kind; an Error becomes the response error_mapping.h says.
using Handler = std::function<Result<ServerResponse>(const ServerRequest&)>;

/// One server-sent event: "id: 12\nevent: gpu.owner\ndata: {...}\n\n". Empty parts are left out; line ends in
/// `data` become lines of their own.
std::string serverSentEvent(std::string_view id, std::string_view event, std::string_view data);

}  // namespace berth::http
