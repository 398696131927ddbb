// MPS programs found in /proc: what is left of a run that was killed before it could note what it had
// started.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "os/procfs.h"

namespace berth::sharing {

enum class MpsProgram : std::uint8_t { Control, Server };

struct MpsProcess {
  os::ProcessId id;
  std::filesystem::path pipe_directory;
};

/// The processes of `program` whose pipe directory, as it stands in their environment, lies below `folder`.
/// Clients have the same variable and are none. Io: /proc cannot be listed; a process that cannot be looked
/// into is none of ours.
Result<std::vector<MpsProcess>> findMpsProcesses(const os::Procfs& procfs,
                                                 const std::filesystem::path& folder, MpsProgram program);

}  // namespace berth::sharing
