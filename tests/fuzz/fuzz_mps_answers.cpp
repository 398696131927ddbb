// Property: whatever the control program or a note on disk says, the parsers do not crash, pids are
// positive, percentages are 0 to 100, and an accepted note is written the same way again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "sharing/mps/mps_answers.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth::sharing;  // NOLINT(google-build-using-namespace): one short function
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto pids = parsePidList(text)) {
    for (const std::int64_t pid : *pids) require(pid > 0);
  }
  if (const auto percent = parsePercentage(text)) require(percent->value >= 0 && percent->value <= 100);
  static_cast<void>(parseServerState(text).has_value());
  if (const auto record = parseRecord(text)) {
    require(parseRecord(toText(*record)).value() == *record);
    require(record->limits.memory.value >= 0 && record->limits.threads.value <= 100);
  }
  return 0;
}
