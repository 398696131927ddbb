// nvidia-cuda-mps-control: `-d` starts the daemon in the background, `-f` in the foreground; without either,
// commands are read from stdin and sent to the daemon.
#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/mps_client.h"
#include "mps/control_daemon.h"

namespace {

using namespace berth::sim;  // NOLINT(google-build-using-namespace): a program, not a header
using mps::ControlDaemon;
using mps::UniqueFd;

constexpr int kFailed = 1;
constexpr int kUsage = 2;

std::filesystem::path serverProgram() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "nvidia-cuda-mps-server";
}

int fail(const std::string& message) {
  std::fprintf(stderr, "nvidia-cuda-mps-control: %s\n", message.c_str());
  return kFailed;
}

UniqueFd stopSignals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return UniqueFd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

/// Detaches from the terminal. The parent waits for one byte: the daemon listens.
int runDaemon(bool background, bool multi_user) {
  std::array<int, 2> started{};
  if (background && ::pipe2(started.data(), O_CLOEXEC) != 0) return fail("no pipe");
  if (background && ::fork() != 0) {
    ::close(started[1]);
    char letter = 0;
    return ::read(started[0], &letter, 1) == 1 ? 0 : kFailed;
  }
  if (background) ::setsid();
  const auto directory = mpsPipeDirectory();
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  std::filesystem::create_directories(mps::logDirectory(), error);  // Without it there is no log.
  const UniqueFd stop = stopSignals();
  ControlDaemon daemon(directory, serverProgram(), multi_user);
  if (const auto listening = daemon.listen(); !listening) return fail(listening.error().message);
  if (background) {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int fd : {0, 1, 2}) ::dup2(null, fd);
    if (null > 2) ::close(null);
    if (::write(started[1], "1", 1) != 1) return kFailed;
    ::close(started[1]);
    ::close(started[0]);
  }
  daemon.serve(stop.get());
  return 0;
}

std::string readToEnd(int fd) {
  std::string text;
  std::array<char, 1024> buffer{};
  ssize_t got = 0;
  while ((got = ::read(fd, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

int sendCommand(const std::string& line) {
  const UniqueFd fd(connectToMps(mpsPipeDirectory()));
  if (fd.get() < 0) {
    return fail("cannot find the MPS control daemon at " + mpsPipeDirectory().string() + "; is it running?");
  }
  if (!writeAll(fd.get(), "command " + line + "\n")) return fail("the MPS control daemon went away");
  const std::string answer = readToEnd(fd.get());
  const bool quit = line.starts_with("quit");
  if (answer.empty()) return quit ? 0 : fail("the MPS control daemon went away");
  std::fputs(answer.c_str() + 1, answer[0] == '0' ? stdout : stderr);
  return answer[0] == '0' ? 0 : kFailed;
}

int sendCommands() {
  int status = 0;
  for (std::string line; std::getline(std::cin, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (const int failed = sendCommand(line); failed != 0) status = failed;
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  bool background = false;
  bool foreground = false;
  bool multi_user = false;
  for (const auto argument : arguments) {
    if (argument == "-d") {
      background = true;
    } else if (argument == "-f") {
      foreground = true;
    } else if (argument == "-multiuser") {
      multi_user = true;
    } else {
      std::fputs("usage: nvidia-cuda-mps-control [-d | -f] [-multiuser]\n", stderr);
      return kUsage;
    }
  }
  return background || foreground ? runDaemon(background, multi_user) : sendCommands();
}
