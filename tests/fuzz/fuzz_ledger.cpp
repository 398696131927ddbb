// Property: whatever bytes lie where the ledger and its log should be, opening does not crash. It either
// gives a state that can be read and keeps A1, or an error; what the service reads of the rows is a book or
// an error; and what repair makes of damage can be opened.
//
// Input: the log's length in KiB as one byte, then the log, then the database.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "arbiter/arbiter.h"
#include "base/error.h"
#include "fuzz_directory.h"
#include "ledger/ledger.h"
#include "service/rows.h"

namespace {

constexpr std::size_t kKiB = 1024;

/// One for the whole run, emptied for each input.
const std::string& directory() {
  static const berth::fuzz::Directory directory;
  return directory.path();
}

void empty(const std::string& dir) {
  for (const auto& entry : std::filesystem::directory_iterator(dir))
    std::filesystem::remove_all(entry.path());
}

void write(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// True when it opened; then everything must be as promised.
bool checkOpen(const std::string& dir) {
  auto ledger = berth::ledger::Ledger::open(dir);
  if (!ledger) return false;
  const auto state = (*ledger)->loadState();
  if (!state || !berth::arbiter::violation(*state).empty()) std::abort();
  static_cast<void>((*ledger)->workloads());
  static_cast<void>((*ledger)->containers());
  static_cast<void>((*ledger)->operations(100));
  static_cast<void>((*ledger)->events(0, 100));
  static_cast<void>(berth::service::readBook(**ledger));
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t log = std::min(rest.size(), data[0] * kKiB);
  const std::string& dir = directory();
  empty(dir);
  if (log > 0) write(dir + "/ledger.db-wal", rest.substr(0, log));
  write(dir + "/ledger.db", rest.substr(log));
  if (checkOpen(dir)) return 0;
  if (berth::ledger::Ledger::repair(dir) && !checkOpen(dir)) std::abort();
  return 0;
}
