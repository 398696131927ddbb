// The other end of a connection for tests: sends exactly the bytes it is told to, well formed or not.
#pragma once

#include <string>
#include <string_view>

#include "os/unique_fd.h"

namespace berth::http::testing {

struct RawResponse {
  int status = 0;    // 0: the connection ended before a whole response.
  std::string head;  // Lower case, up to the empty line.
  std::string body;  // Without the chunks' framing.
};

/// Blocks; a read that gets nothing for 20 s gives up as if the connection had ended, so that a bug is a
/// failed test and not a hung one.
class RawClient {
 public:
  explicit RawClient(const std::string& path);

  bool connected() const { return fd_.valid(); }
  /// False when the server has closed its end.
  bool send(std::string_view bytes);
  /// The next response; `to_head` for one to a HEAD request.
  RawResponse receive(bool to_head = false);
  /// Reads until `text` has come; false when the connection ended first.
  bool receiveUntil(std::string_view text);
  /// True when the server closes, with whatever it sends before left out.
  bool closedByServer();
  void shutdownSending();
  void close() { fd_.reset(); }

 private:
  bool more();
  std::string takeLine();
  std::string takeBytes(std::size_t count);
  std::string takeChunks();

  os::UniqueFd fd_;
  std::string in_;
};

/// What a daemon that was killed leaves behind.
void leaveStaleSocket(const std::string& path);
/// A server that knows nothing of lock files.
os::UniqueFd listenPlainly(const std::string& path);

}  // namespace berth::http::testing
