// However a stream of server-sent events is cut, the same events come out of it, and none holds a line end in
// its type or is larger than the limit.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "cli/server_sent_events.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view stream(reinterpret_cast<const char*>(data), size);
  berth::cli::ServerSentEventParser whole_parser;
  const auto whole = whole_parser.add(stream);
  berth::cli::ServerSentEventParser cut_parser;
  std::vector<berth::cli::ServerSentEvent> cut;
  for (const char& c : stream) {
    const auto events = cut_parser.add(std::string_view(&c, 1));
    if (!events) {
      if (whole) std::abort();
      return 0;
    }
    cut.insert(cut.end(), events->begin(), events->end());
  }
  if (!whole || *whole != cut) std::abort();
  for (const auto& event : cut) {
    if (event.type.find_first_of("\r\n") != std::string::npos) std::abort();
    if (event.data.size() > berth::cli::kMaxEventBytes) std::abort();
  }
  return 0;
}
