// Property: whatever a process calls itself, the parsers do not crash, and what they accept is found in the
// text again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "os/procfs.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void checkStat(std::string_view text) {
  const auto stat = berth::os::parseStat(text);
  if (!stat) return;
  require(stat->id.pid >= 0 && stat->id.start_ticks >= 0 && stat->parent >= 0);
  require(text.find("(" + stat->command + ") " + stat->state) != std::string_view::npos);
}

void checkCgroup(std::string_view text) {
  const auto entries = berth::os::parseCgroup(text);
  if (!entries) return;
  for (const auto& entry : *entries) {
    require(entry.path.starts_with('/'));
    require(text.find(":" + entry.path) != std::string_view::npos);
  }
}

void checkCommandLine(std::string_view bytes) {
  std::string again;
  for (const std::string& argument : berth::os::parseCommandLine(bytes)) again += argument + '\0';
  require(again == bytes || again == std::string(bytes) + '\0');
}

void checkNamespacePids(std::string_view text) {
  const auto pids = berth::os::parseNamespacePids(text);
  if (!pids) return;
  require(!pids->empty());
  for (const std::int64_t pid : *pids) require(text.find(std::to_string(pid)) != std::string_view::npos);
}

// A name that is not in the text cannot be mapped, whatever else it holds.
void checkMaps(std::string_view text) {
  if (text.find("/libx.so") == std::string_view::npos) require(!berth::os::mapsFile(text, 42, "libx.so"));
  static_cast<void>(berth::os::mapsFile(text, 0, ""));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  checkStat(bytes);
  checkCgroup(bytes);
  checkCommandLine(bytes);
  checkNamespacePids(bytes);
  checkMaps(bytes);
  return 0;
}
