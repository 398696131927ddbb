#include "cli/vm_console.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "os/unique_fd.h"

namespace berth::cli {
namespace {

constexpr char kLeave = '\x1d';  // Ctrl-]
constexpr int kLookMs = 200;     // How soon a request to stop is noticed.

/// Keys go through as they are, and the terminal is as before at the end.
class RawTerminal {
 public:
  RawTerminal() {
    termios now{};
    if (::tcgetattr(STDIN_FILENO, &now) != 0) return;  // No terminal: a pipe needs no mode.
    before_ = now;
    ::cfmakeraw(&now);
    ::tcsetattr(STDIN_FILENO, TCSANOW, &now);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() {
    if (before_) ::tcsetattr(STDIN_FILENO, TCSANOW, &*before_);
  }

 private:
  std::optional<termios> before_;
};

Result<os::UniqueFd> connectTo(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return fail(ErrorCode::InvalidArgument, "\"" + path + "\" is no socket's path");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  os::UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return fail(errnoError(errno, "socket", path));
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how the address is passed.
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail(errnoError(errno, "connect to the console", path));
  }
  return socket;
}

bool writeAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

enum class Flow : std::uint8_t { GoOn, End, InputEnded };

/// One read from `from` to `to`. `keys`: Ctrl-] ends it.
Flow pass(int from, int to, bool keys) {
  std::array<char, 4096> buffer{};
  const ssize_t got = ::read(from, buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return Flow::GoOn;
  if (got <= 0) return keys ? Flow::InputEnded : Flow::End;
  std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
  const std::size_t leave = keys ? bytes.find(kLeave) : std::string_view::npos;
  if (!writeAll(to, bytes.substr(0, leave))) return Flow::End;
  return leave == std::string_view::npos ? Flow::GoOn : Flow::End;
}

}  // namespace

Result<void> attachConsole(const std::string& path, const std::stop_token& stop) {
  TRY(const os::UniqueFd socket, connectTo(path));
  const RawTerminal raw;
  bool input = true;
  while (!stop.stop_requested()) {
    std::array<pollfd, 2> wait{{{socket.get(), POLLIN, 0}, {input ? STDIN_FILENO : -1, POLLIN, 0}}};
    if (::poll(wait.data(), wait.size(), kLookMs) < 0 && errno != EINTR) break;
    if (wait[0].revents != 0 && pass(socket.get(), STDOUT_FILENO, false) == Flow::End) break;
    if (wait[1].revents == 0) continue;
    const Flow flow = pass(STDIN_FILENO, socket.get(), true);
    if (flow == Flow::End) break;
    if (flow == Flow::InputEnded)
      input = false;  // A script's input is over; what the guest says still comes.
  }
  return {};
}

}  // namespace berth::cli
