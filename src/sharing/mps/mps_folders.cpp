#include "sharing/mps/mps_folders.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <system_error>
#include <vector>

#include "base/text.h"
#include "os/files.h"

namespace berth::sharing {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kFolderMode = 0755;  // Programs of any user go through it to the sockets.
constexpr mode_t kFileMode = 0600;
constexpr std::size_t kFileLimit = 4096;
constexpr std::size_t kSocketPathLimit = 107;                 // sun_path less its NUL.
constexpr const char* kLongestSocket = "control_privileged";  // Of those the daemon makes in its pipe folder.

}  // namespace

MpsFolders::MpsFolders(const fs::path& run_directory, const GpuUuid& gpu)
    : folder_(run_directory / "mps" / gpu.value) {}

Result<MpsGeneration> MpsFolders::create() {
  TRY_VOID(os::ensureDirectory(folder_, kFolderMode));
  TRY_VOID(clear());
  TRY(const std::int64_t number, nextNumber());
  MpsGeneration made = generation(number);
  const fs::path socket = made.pipe() / kLongestSocket;
  if (socket.native().size() > kSocketPathLimit) {
    return fail(ErrorCode::InvalidArgument,
                "the run directory's path is too long for MPS: " + socket.string() + " has more than " +
                    std::to_string(kSocketPathLimit) + " characters");
  }
  TRY_VOID(os::ensureDirectory(made.pipe(), kFolderMode));
  TRY_VOID(os::ensureDirectory(made.log(), kFolderMode));
  return made;
}

MpsGeneration MpsFolders::generation(std::int64_t number) const {
  return {number, folder_ / std::to_string(number)};
}

Result<void> MpsFolders::noteRunning(const MpsRecord& record) {
  return os::writeFileAtomically(folder_ / "running", toText(record), kFileMode);
}

std::optional<MpsRecord> MpsFolders::running() const {
  const Result<std::string> text = os::readFile(folder_ / "running", kFileLimit);
  if (!text) return std::nullopt;
  const Result<MpsRecord> record = parseRecord(*text);
  if (!record) return std::nullopt;
  return *record;
}

Result<void> MpsFolders::clear() {
  std::error_code error;
  std::vector<fs::path> old;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name == "running" || parseWholeNumber(name)) old.push_back(entry->path());
  }
  for (const fs::path& path : old) TRY_VOID(os::removeTree(path));
  return {};
}

Result<std::int64_t> MpsFolders::nextNumber() {
  const fs::path file = folder_ / "last";
  std::int64_t last = 0;
  if (const Result<std::string> text = os::readFile(file, kFileLimit)) {
    last = parseWholeNumber(trim(*text)).value_or(0);
  }
  TRY_VOID(os::writeFileAtomically(file, std::to_string(last + 1) + "\n", kFileMode));
  return last + 1;
}

}  // namespace berth::sharing
