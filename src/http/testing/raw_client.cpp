#include "http/testing/raw_client.h"

#include <array>
#include <cstdlib>
#include <cstring>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/text.h"

namespace berth::http::testing {
namespace {

constexpr time_t kPatienceSeconds = 20;

sockaddr_un addressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(&address.sun_path[0], path.c_str(), sizeof address.sun_path - 1);
  return address;
}

os::UniqueFd newSocket() { return os::UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

std::string headerValue(const std::string& head, std::string_view name) {
  const std::string wanted = "\n" + std::string(name) + ": ";
  const std::size_t at = head.find(wanted);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + wanted.size();
  return head.substr(begin, head.find('\r', begin) - begin);
}

}  // namespace

RawClient::RawClient(const std::string& path) : fd_(newSocket()) {
  const timeval patience{kPatienceSeconds, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const sockaddr_un address = addressOf(path);
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd_.reset();
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool RawClient::more() {
  std::array<char, 65536> piece{};
  const ssize_t got = ::recv(fd_.get(), piece.data(), piece.size(), 0);
  if (got <= 0) return false;
  in_.append(piece.data(), static_cast<std::size_t>(got));
  return true;
}

std::string RawClient::takeLine() {
  std::size_t end = in_.find("\r\n");
  while (end == std::string::npos && more()) end = in_.find("\r\n");
  if (end == std::string::npos) return {};
  std::string line = in_.substr(0, end);
  in_.erase(0, end + 2);
  return line;
}

std::string RawClient::takeBytes(std::size_t count) {
  while (in_.size() < count && more()) {
  }
  std::string bytes = in_.substr(0, count);
  in_.erase(0, bytes.size());
  return bytes;
}

std::string RawClient::takeChunks() {
  std::string body;
  while (true) {
    const std::size_t size = std::strtoull(takeLine().c_str(), nullptr, 16);
    body += takeBytes(size);
    takeLine();
    if (size == 0) return body;
  }
}

RawResponse RawClient::receive(bool to_head) {
  std::size_t end = in_.find("\r\n\r\n");
  while (end == std::string::npos && more()) end = in_.find("\r\n\r\n");
  if (end == std::string::npos) return {};
  RawResponse response;
  response.head = toLower(in_.substr(0, end + 2));
  in_.erase(0, end + 4);
  response.status = std::atoi(response.head.substr(9, 3).c_str());
  if (to_head || response.status == 100) return response;
  const std::string length = headerValue(response.head, "content-length");
  if (!length.empty()) {
    response.body = takeBytes(std::strtoull(length.c_str(), nullptr, 10));
  } else if (headerValue(response.head, "transfer-encoding") == "chunked") {
    response.body = takeChunks();
  } else {
    while (more()) {
    }
    response.body = std::exchange(in_, {});
  }
  return response;
}

bool RawClient::receiveUntil(std::string_view text) {
  while (in_.find(text) == std::string::npos) {
    if (!more()) return false;
  }
  return true;
}

bool RawClient::closedByServer() {
  while (more()) in_.clear();
  char byte = 0;
  return ::recv(fd_.get(), &byte, 1, MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

void RawClient::shutdownSending() { ::shutdown(fd_.get(), SHUT_WR); }

void leaveStaleSocket(const std::string& path) { listenPlainly(path); }

os::UniqueFd listenPlainly(const std::string& path) {
  os::UniqueFd fd = newSocket();
  const sockaddr_un address = addressOf(path);
  const bool listens = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                       ::listen(fd.get(), 8) == 0;
  if (!listens) std::abort();  // The test's own set-up is wrong.
  return fd;
}

}  // namespace berth::http::testing
