// The text/event-stream format (WHATWG HTML, 9.2 "Server-sent events") in pieces as they come.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace berth::cli {

inline constexpr std::size_t kMaxEventBytes = std::size_t{1} << 20;

struct ServerSentEvent {
  std::string id;    // The last id the stream named, of this event or one before.
  std::string type;  // "" is a message.
  std::string data;
  bool operator==(const ServerSentEvent&) const = default;
};

/// One thread at a time. However the bytes are cut, the same events come out.
class ServerSentEventParser {
 public:
  /// The events that `bytes` complete. Io: a line or an event is larger than kMaxEventBytes; the stream
  /// cannot be read on.
  Result<std::vector<ServerSentEvent>> add(std::string_view bytes);

 private:
  void endLine(std::vector<ServerSentEvent>& complete);

  std::string line_;
  bool after_carriage_return_ = false;
  bool has_data_ = false;
  ServerSentEvent event_;
};

}  // namespace berth::cli
