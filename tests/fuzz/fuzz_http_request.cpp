// Property: whatever a client sends, in pieces of whatever size, reading it neither crashes nor passes a
// limit, and the target of what is accepted is either refused or matches routes without harm.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/codec.h"
#include "http/router.h"

namespace {

using berth::http::RequestParser;

constexpr std::size_t kMaxHeader = 512;
constexpr std::size_t kMaxBody = 256;

void require(bool holds) {
  if (!holds) std::abort();
}

const berth::http::Router& router() {
  static const berth::http::Router kRouter({{"GET", "/", berth::http::Role::Reader, {}, ""},
                                            {"PUT", "/gpus/{id}", berth::http::Role::Owner, {}, ""}});
  return kRouter;
}

void checkHead(const berth::http::RequestHead& head) {
  std::size_t bytes = head.method.size() + head.target.size();
  for (const auto& [name, value] : head.headers) bytes += name.size() + value.size();
  require(bytes <= kMaxHeader);
  const auto target = berth::http::parseTarget(head.target);
  if (!target) return;
  const auto match = router().match(head.method, *target);
  require(match.route != nullptr || match.params.empty());
}

/// Reads one request off the front of `rest`; false when the connection would end.
bool readOne(std::string& buffer, std::string_view& rest, std::size_t piece) {
  RequestParser parser(kMaxHeader);
  while (true) {
    const RequestParser::State state = parser.feed(buffer);
    if (state == RequestParser::State::Failed) {
      require(parser.error().status >= 400 && !parser.error().message.empty());
      return false;
    }
    if (state == RequestParser::State::HeadDone) {
      checkHead(parser.head());
      if (!parser.limitBody(kMaxBody)) return false;
      continue;
    }
    if (state == RequestParser::State::Done) {
      require(parser.takeBody().size() <= kMaxBody);
      return true;
    }
    require(buffer.size() <= kMaxHeader);
    if (rest.empty()) return false;
    buffer.append(rest.substr(0, piece));
    rest.remove_prefix(piece < rest.size() ? piece : rest.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = std::size_t{data[0]} + 1;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string buffer;
  while (readOne(buffer, rest, piece)) {
  }
  return 0;
}
