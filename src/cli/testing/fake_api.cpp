#include "cli/testing/fake_api.h"

#include <cstdlib>
#include <string_view>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/unique_fd.h"

namespace berth::cli::testing {
namespace {

constexpr std::string_view kEndOfHead = "\r\n\r\n";
constexpr std::string_view kLength = "Content-Length: ";

std::size_t bodyLength(const std::string& head) {
  const std::size_t at = head.find(kLength);
  return at == std::string::npos ? 0 : std::strtoul(head.c_str() + at + kLength.size(), nullptr, 10);
}

bool readMore(int connection, std::string& text) {
  char buffer[4096];
  const ssize_t got = ::read(connection, buffer, sizeof buffer);
  if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
  return got > 0;
}

// The request line without the version, and the body.
std::string readRequest(int connection) {
  std::string text;
  while (text.find(kEndOfHead) == std::string::npos) {
    if (!readMore(connection, text)) return text;
  }
  const std::size_t body = text.find(kEndOfHead) + kEndOfHead.size();
  const std::size_t length = bodyLength(text.substr(0, body));
  while (text.size() < body + length && readMore(connection, text)) {
  }
  return text.substr(0, text.find(" HTTP/1.1")) + "\n" + text.substr(body);
}

void sendAll(int connection, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(connection, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

FakeApi::FakeApi(std::vector<Answer> answers) {
  std::string name = std::filesystem::temp_directory_path() / "berth-cli-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) std::abort();
  directory_ = name;
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket().copy(address.sun_path, sizeof address.sun_path - 1);
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::abort();
  if (::listen(listener_, 8) != 0) std::abort();
  thread_ = std::thread([this, answers = std::move(answers)] { serve(answers); });
}

FakeApi::~FakeApi() {
  finish();
  ::close(listener_);
  std::filesystem::remove_all(directory_);
}

void FakeApi::finish() {
  ::shutdown(listener_, SHUT_RDWR);
  if (thread_.joinable()) thread_.join();
}

const std::vector<std::string>& FakeApi::requests() {
  finish();
  return requests_;
}

void FakeApi::serve(const std::vector<Answer>& answers) {
  for (const Answer& answer : answers) {
    const os::UniqueFd connection(::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection.valid()) return;
    requests_.push_back(readRequest(connection.get()));
    if (answer.then) answer.then();
    std::string ignored;
    while (answer.hold && readMore(connection.get(), ignored)) {
    }
    if (answer.hold || answer.hang_up) continue;
    sendAll(connection.get(), "HTTP/1.1 " + std::to_string(answer.status) +
                                  " X\r\nContent-Length: " + std::to_string(answer.body.size()) +
                                  "\r\nConnection: close\r\n\r\n" + answer.body);
  }
}

}  // namespace berth::cli::testing
