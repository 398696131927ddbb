// `berth`: parse the command line, make one request, show what came back (design 10). Everything outside the
// process except the socket and the input files comes in through Surroundings, so that tests run the whole
// program in their own process.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <istream>
#include <optional>
#include <ostream>
#include <stop_token>
#include <string>

namespace berth::cli {

inline constexpr const char* kDefaultSocket = "/run/berth/berth.sock";
/// The largest manifest that is sent; one byte more than the daemon takes, so that its parser names the
/// limit.
inline constexpr std::size_t kMaxInputBytes = (std::size_t{4} << 20) + 1;

struct Surroundings {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::size_t width = 80;  // Of the terminal.
  std::function<std::optional<std::string>(const char* name)> environment;
  /// Called once, when all input is read: from then on Ctrl-C asks the token to stop instead of ending the
  /// process.
  std::function<std::stop_token()> watchInterrupts;
  std::string host_name;
  std::string date;  // As nvidia-smi prints it: "Fri Jan  2 03:04:05 2026".
  std::chrono::milliseconds retry_pause{1000};
};

/// The program; returns its exit status. Blocks.
int run(int argc, const char* const* argv, const Surroundings& surroundings);

}  // namespace berth::cli
