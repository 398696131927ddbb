// Property: whatever a person types at the MPS control program, or a process sends to its daemon, it is
// refused or means something within the limits; what the two sides of the socket say to each other reads as
// it was written.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/mps_client.h"
#include "engine/mps_settings.h"
#include "mps/commands.h"

namespace {

using namespace berth::sim;  // NOLINT(google-build-using-namespace): a program, not a header

constexpr std::uint64_t kMostBytes = 1ULL << 50U;

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const mps::Command& command) {
  const bool sets_percent =
      command.verb == mps::Verb::SetDefaultThreadPercent || command.verb == mps::Verb::SetThreadPercent;
  require(command.thread_percent <= 100 && (command.thread_percent > 0) == sets_percent);
  const bool sets_limit =
      command.verb == mps::Verb::SetDefaultPinnedLimit || command.verb == mps::Verb::SetPinnedLimit;
  require(command.limit_bytes <= kMostBytes && (command.limit_bytes > 0) == sets_limit);
  require(command.server >= 0 && command.client >= 0);
  if (sets_percent)
    require(parseThreadPercent(mps::percentText(command.thread_percent)) == command.thread_percent);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  if (const auto command = mps::parseCommand(line)) check(*command);
  if (const auto request = parseMpsRequest(line)) require(parseMpsRequest(toLine(*request)) == request);
  if (const auto answer = parseMpsAnswer(line)) require(parseMpsAnswer(toLine(*answer)) == answer);
  return 0;
}
