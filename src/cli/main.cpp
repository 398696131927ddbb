// Puts the real terminal, environment and signals around cli::run.
#include <array>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <optional>

#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/interrupts.h"

namespace {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::size_t terminalWidth() {
  winsize size{};
  constexpr std::size_t kUsual = 80;
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

std::string hostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  std::array<char, 64> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%a %b %e %H:%M:%S %Y", &local);
  return {text.data(), length};
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  std::optional<berth::cli::Interrupts> interrupts;
  const berth::cli::Surroundings surroundings{std::cin,
                                              std::cout,
                                              std::cerr,
                                              ::isatty(STDOUT_FILENO) == 1,
                                              ::isatty(STDERR_FILENO) == 1,
                                              terminalWidth(),
                                              environment,
                                              [&interrupts] { return interrupts.emplace().token(); },
                                              hostName(),
                                              date()};
  return berth::cli::run(argc, argv, surroundings);
}
