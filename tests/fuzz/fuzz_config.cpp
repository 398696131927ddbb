// Property: whatever stands in the settings file, or behind an option of the command line, reading it does
// not crash; a refusal names where it stands, and what is accepted reads as the same once more.
//
// Input: the file's text. Each of its lines "key: value" is tried as an option too.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "daemon/config.h"

namespace {

using berth::daemon::Config;

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const Config& config) {
  require(!config.socketPath().empty());
  require(config.simulate.empty() || berth::daemon::checkSimulate(config.simulate).has_value());
}

void checkRefusal(const berth::Error& error, std::string_view place) {
  require(error.code == berth::ErrorCode::InvalidArgument);
  require(error.message.find(place) != std::string::npos);
}

void checkOption(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string key(line.substr(0, colon));
  const std::string value(berth::trim(line.substr(colon + 1)));
  const auto config = berth::daemon::setOption(key, value, {});
  if (config) check(*config);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::string& line : berth::split(text, '\n')) checkOption(line);
  const auto config = berth::daemon::parseConfig(text, "berthd.yaml", {});
  if (!config) {
    checkRefusal(config.error(), "berthd.yaml");
    return 0;
  }
  check(*config);
  const auto again = berth::daemon::parseConfig(text, "berthd.yaml", *config);
  require(again && again->socketPath() == config->socketPath() && again->also_gpus == config->also_gpus);
  return 0;
}
