#include "cli/operation_follower.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include <boost/json.hpp>

#include "cli/json_fields.h"
#include "cli/requests.h"
#include "http/client.h"

namespace berth::cli {
namespace {

namespace json = boost::json;

// As long as is left, in whole seconds, at most kPollFor; 0 asks for an answer at once.
std::chrono::seconds pollTime(http::Deadline deadline) {
  if (deadline == http::kNoDeadline) return kPollFor;
  const auto left =
      std::chrono::duration_cast<std::chrono::seconds>(deadline - std::chrono::steady_clock::now());
  return std::clamp(left, std::chrono::seconds{0}, kPollFor);
}

bool isRunning(const json::value& operation) {
  const std::string state = text(operation, "state");
  return state != "succeeded" && state != "failed";
}

Error stopped() { return {ErrorCode::Unavailable, "stopped", std::string(http::Client::kStopped), {}}; }

}  // namespace

void ProgressLine::show(const json::value& operation) {
  if (!terminal_) return;
  const std::string message = text(operation, "message");
  std::string line = text(operation, "id") + ": " + text(operation, "percent") + " %";
  if (!message.empty()) line += " " + message;
  if (width_ > 1 && line.size() >= width_) line.resize(width_ - 1);
  if (line == shown_) return;
  out_ << "\r\x1b[K" << line << std::flush;
  shown_ = std::move(line);
}

void ProgressLine::clear() {
  if (!shown_.empty()) out_ << "\r\x1b[K" << std::flush;
  shown_.clear();
}

bool pauseFor(std::chrono::milliseconds length, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any waiting;
  std::unique_lock lock(mutex);
  waiting.wait_for(lock, stop, length, [] { return false; });
  return !stop.stop_requested();
}

Result<json::value> followOperation(const ApiClient& api, json::value operation,
                                    std::chrono::milliseconds retry_pause, ProgressLine& progress) {
  const std::string id = text(operation, "id");
  int reconnects = 0;
  while (isRunning(operation)) {
    progress.show(operation);
    const std::chrono::seconds wait = pollTime(api.deadline());
    Result<json::value> news = api.call(operationRequest(id, wait.count()), wait);
    const bool went_away = !news && news.error().reason == ApiClient::kUnreachable;
    if (!news && (!went_away || ++reconnects > kMaxReconnects)) return news;
    // An answer without news came early: the daemon is stopping, or the time is nearly over.
    if ((went_away || *news == operation) && !pauseFor(retry_pause, api.stop())) return fail(stopped());
    if (went_away) continue;
    reconnects = 0;
    operation = *std::move(news);
  }
  return operation;
}

}  // namespace berth::cli
