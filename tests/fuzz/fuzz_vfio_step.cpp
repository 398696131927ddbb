// Property: what is taken for a step is exactly what would have been written for it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "gpu/vfio/journal.h"
#include "gpu/vfio/step.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth::vfio;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto journal = decodeJournal(bytes); journal && encodeJournal(*journal) != bytes) std::abort();
  const std::size_t cut = bytes.find('\n');
  if (cut == std::string_view::npos) return 0;
  const StepText text{std::string(bytes.substr(0, cut)), std::string(bytes.substr(cut + 1))};
  const auto step = decode(text);
  if (step && encode(*step) != text) std::abort();
  return 0;
}
