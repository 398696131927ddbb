// Property: the same bytes give the same output and the same verdict, whether they come in one piece or in
// two, cut where the first byte says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "container/docker_frames.h"

namespace {

struct Outcome {
  std::string text;
  bool good = true;
  bool complete = false;
  bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view first, std::string_view second) {
  Outcome outcome;
  berth::container::FrameReader reader;
  const berth::container::LogSink sink = [&](bool is_stderr, std::string_view bytes) {
    for (const char c : bytes) {
      outcome.text += is_stderr ? 'e' : 'o';
      outcome.text += c;
    }
    return true;
  };
  for (const auto piece : {first, second}) {
    if (outcome.good && !reader.feed(piece, sink)) outcome.good = false;
  }
  outcome.complete = outcome.good && reader.finish();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::size_t cut = data[0] % (bytes.size() + 1);
  if (!(read(bytes, "") == read(bytes.substr(0, cut), bytes.substr(cut)))) std::abort();
  return 0;
}
