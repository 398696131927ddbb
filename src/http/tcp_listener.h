// A listening TCP socket at one numeric address.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "os/unique_fd.h"

namespace berth::http {

/// Where to listen: "127.0.0.1:8443", "[::1]:8443".
struct TcpAddress {
  std::string host;  // Numeric, without brackets.
  std::uint16_t port = 0;
  bool operator==(const TcpAddress&) const = default;
};

/// InvalidArgument: not a numeric address and a port of 0 to 65535.
Result<TcpAddress> parseTcpAddress(std::string_view text);
/// The address as parseTcpAddress reads it.
std::string describe(const TcpAddress& address);

struct TcpListener {
  os::UniqueFd socket;  // Non-blocking.
  int family = 0;
  TcpAddress address;  // With the port the kernel chose, where 0 was asked for.
};

/// Conflict: someone listens there. Denied: a port below 1024 and no right to it. Io from the kernel.
Result<TcpListener> listenTcp(const TcpAddress& address);

/// The other end of a connected socket, as describe() writes it; empty when it is gone.
std::string peerAddress(int fd);

}  // namespace berth::http
