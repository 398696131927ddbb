#include "cli/server_sent_events.h"

#include <utility>

namespace berth::cli {

Result<std::vector<ServerSentEvent>> ServerSentEventParser::add(std::string_view bytes) {
  std::vector<ServerSentEvent> complete;
  for (const char c : bytes) {
    const bool second_half = c == '\n' && std::exchange(after_carriage_return_, false);
    if (second_half) continue;
    after_carriage_return_ = c == '\r';
    if (c == '\r' || c == '\n') {
      endLine(complete);
      continue;
    }
    if (line_.size() + event_.data.size() >= kMaxEventBytes) {
      return fail(ErrorCode::Io,
                  "an event of the stream is larger than " + std::to_string(kMaxEventBytes) + " bytes");
    }
    line_ += c;
  }
  return complete;
}

void ServerSentEventParser::endLine(std::vector<ServerSentEvent>& complete) {
  const std::string line = std::exchange(line_, {});
  if (line.empty()) {
    if (has_data_) complete.push_back(event_);
    event_ = {event_.id, {}, {}};
    has_data_ = false;
    return;
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = std::string_view(line).substr(0, colon);
  std::string_view value = colon == std::string::npos ? "" : std::string_view(line).substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (field == "data") {
    if (std::exchange(has_data_, true)) event_.data += '\n';
    event_.data += value;
  } else if (field == "event") {
    event_.type = value;
  } else if (field == "id" && value.find('\0') == std::string_view::npos) {
    event_.id = value;
  }
}

}  // namespace berth::cli
