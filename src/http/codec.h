// HTTP/1.1 on bytes alone (RFC 9112): an incremental request parser with limits, over Boost.Beast's, and the
// few lines a response begins with. No sockets, so that hostile input is tested and fuzzed without any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace berth::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// The value of the first header of that name (lower case), empty when there is none.
std::string_view findHeader(const Headers& headers, std::string_view lower_case_name);

/// What precedes a request's body.
struct RequestHead {
  std::string method;  // As sent: "GET".
  std::string target;  // As sent: "/a?b=c".
  Headers headers;     // Names in lower case.
  bool keep_alive = false;
  bool http10 = false;
  bool expects_continue = false;
};

/// Why a request cannot be read any further; the connection must be closed after answering.
struct ProtocolError {
  int status = 400;  // 400, 413 or 431.
  std::string message;
};

/// Reads one request. Feed it until Done or Failed; bytes of the next request stay in the buffer.
class RequestParser {
 public:
  enum class State : std::uint8_t { NeedMore, HeadDone, Done, Failed };

  /// `max_header_bytes` limits the request line and headers together, and what may wait unparsed.
  explicit RequestParser(std::size_t max_header_bytes);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  /// Takes what it can from the front of `buffer`. HeadDone is reported once, before any of the body is read.
  State feed(std::string& buffer);

  /// From HeadDone on.
  const RequestHead& head() const;
  /// Call at HeadDone. A body of more than `bytes` fails the request with 413; one announced as longer makes
  /// this false, and the request has failed.
  bool limitBody(std::size_t bytes);
  /// At Done: the whole body.
  std::string takeBody();
  /// At Failed.
  const ProtocolError& error() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// "HTTP/1.1 200 OK" and the headers, up to and including the empty line.
std::string responseHead(int status, const Headers& headers);

/// `bytes` as one chunk of a chunked body; nothing for no bytes, because an empty chunk would end the body.
std::string chunk(std::string_view bytes);
/// Ends a chunked body.
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace berth::http
