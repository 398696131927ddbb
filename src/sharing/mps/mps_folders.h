// Where one GPU's MPS daemons live on disk: <run directory>/mps/<uuid>/<generation>/{pipe,log}. A path is
// never used twice, because programs of a dead generation may still hold its sockets; so the last number is
// kept in a file and raised before it is used.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/types.h"
#include "sharing/mps/mps_answers.h"

namespace berth::sharing {

struct MpsGeneration {
  std::int64_t number = 0;
  std::filesystem::path folder;
  std::filesystem::path pipe() const { return folder / "pipe"; }
  std::filesystem::path log() const { return folder / "log"; }
};

/// One GPU's folders. One thread at a time. Errors are the file system's.
class MpsFolders {
 public:
  MpsFolders(const std::filesystem::path& run_directory, const GpuUuid& gpu);

  /// Makes the folders of a new generation, after clearing away what earlier ones left. InvalidArgument: the
  /// path is too long for a socket.
  Result<MpsGeneration> create();
  /// What holds all generations.
  const std::filesystem::path& folder() const { return folder_; }
  /// Where a generation is or was.
  MpsGeneration generation(std::int64_t number) const;

  Result<void> noteRunning(const MpsRecord& record);
  /// What was noted last; nullopt: nothing, or damaged beyond use.
  std::optional<MpsRecord> running() const;
  /// Removes every generation and the note, and keeps the last number.
  Result<void> clear();

 private:
  Result<std::int64_t> nextNumber();

  std::filesystem::path folder_;
};

}  // namespace berth::sharing
