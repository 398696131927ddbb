#include "http/tcp_listener.h"

#include <array>
#include <cerrno>
#include <limits>
#include <memory>
#include <utility>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/text.h"

namespace berth::http {
namespace {

constexpr int kBacklog = 128;

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Result<AddressList> resolve(const TcpAddress& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  if (::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found) != 0 || found == nullptr) {
    return fail(ErrorCode::InvalidArgument, "\"" + address.host + "\" is not an IP address");
  }
  return AddressList(found, &::freeaddrinfo);
}

TcpAddress toAddress(const sockaddr* address, socklen_t size) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  const int failed = ::getnameinfo(address, size, host.data(), host.size(), port.data(), port.size(),
                                   NI_NUMERICHOST | NI_NUMERICSERV);
  if (failed != 0) return {};
  return {host.data(), static_cast<std::uint16_t>(parseWholeNumber(port.data()).value_or(0))};
}

template <typename Ask>
TcpAddress addressBy(Ask ask) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  return ask(address, &size) == 0 ? toAddress(address, size) : TcpAddress{};
}

Result<void> listenAt(int fd, const addrinfo& where, const std::string& what) {
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // Accepted sockets inherit it: answers are written whole, and waiting for more would only delay them.
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (where.ai_family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (::bind(fd, where.ai_addr, where.ai_addrlen) == 0 && ::listen(fd, kBacklog) == 0) return {};
  if (errno == EADDRINUSE) return fail(ErrorCode::Conflict, "another program listens at " + what);
  return fail(errnoError(errno, "bind", what));
}

}  // namespace

Result<TcpAddress> parseTcpAddress(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const auto port = colon == std::string_view::npos ? std::nullopt : parseWholeNumber(text.substr(colon + 1));
  const bool port_fits = port && *port <= std::numeric_limits<std::uint16_t>::max();
  std::string_view host = text.substr(0, port_fits ? colon : 0);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool is_ipv6 = host.find(':') != std::string_view::npos;
  if (host.empty() || bracketed != is_ipv6) {
    return fail(ErrorCode::InvalidArgument,
                "\"" + std::string(text) + "\" is not an address and port like 127.0.0.1:8443 or [::1]:8443");
  }
  TcpAddress address{std::string(host), static_cast<std::uint16_t>(*port)};
  TRY([[maybe_unused]] const AddressList checked, resolve(address));
  return address;
}

std::string describe(const TcpAddress& address) {
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  const std::string host = is_ipv6 ? "[" + address.host + "]" : address.host;
  return host + ":" + std::to_string(address.port);
}

Result<TcpListener> listenTcp(const TcpAddress& address) {
  TRY(const AddressList found, resolve(address));
  os::UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fail(errnoError(errno, "socket", describe(address)));
  TRY_VOID(listenAt(fd.get(), *found, describe(address)));
  const TcpAddress bound =
      addressBy([&](sockaddr* at, socklen_t* size) { return ::getsockname(fd.get(), at, size); });
  return TcpListener{std::move(fd), found->ai_family, bound};
}

std::string peerAddress(int fd) {
  const TcpAddress peer =
      addressBy([fd](sockaddr* at, socklen_t* size) { return ::getpeername(fd, at, size); });
  return peer.host.empty() ? std::string() : describe(peer);
}

}  // namespace berth::http
