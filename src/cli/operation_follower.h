// Follows a long-running operation to its end by long polls, through a restart of the daemon too, and shows
// how far it is.
#pragma once

#include <chrono>
#include <ostream>
#include <string>

#include <boost/json/value.hpp>

#include "base/error.h"
#include "cli/api_client.h"

namespace berth::cli {

/// On a terminal one line that is drawn over; a file or a pipe gets none. One thread at a time.
class ProgressLine {
 public:
  ProgressLine(std::ostream& out, bool terminal, std::size_t width)
      : out_(out), terminal_(terminal), width_(width) {}

  void show(const boost::json::value& operation);
  /// Takes the drawn line away, before anything else is printed.
  void clear();

 private:
  std::ostream& out_;
  bool terminal_;
  std::size_t width_;
  std::string shown_;
};

inline constexpr std::chrono::seconds kPollFor{30};
/// How often a daemon that went away is asked again, one `retry_pause` apart.
inline constexpr int kMaxReconnects = 60;

/// Waits for `length`; false when a stop came first.
bool pauseFor(std::chrono::milliseconds length, const std::stop_token& stop);

/// The operation when it has succeeded or failed; `operation` is what is known of it. A stop gives the reason
/// http::Client::kStopped; the client's deadline gives Timeout: in both cases the operation goes on.
Result<boost::json::value> followOperation(const ApiClient& api, boost::json::value operation,
                                           std::chrono::milliseconds retry_pause, ProgressLine& progress);

}  // namespace berth::cli
