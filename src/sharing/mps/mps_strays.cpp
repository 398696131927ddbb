#include "sharing/mps/mps_strays.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace berth::sharing {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPipeVariable = "CUDA_MPS_PIPE_DIRECTORY=";

std::string_view executable(MpsProgram program) {
  return program == MpsProgram::Control ? "nvidia-cuda-mps-control" : "nvidia-cuda-mps-server";
}

bool liesBelow(const fs::path& path, const fs::path& folder) {
  return std::ranges::mismatch(folder, path).in1 == folder.end();
}

std::optional<fs::path> pipeDirectory(const os::Procfs& procfs, std::int64_t pid) {
  const Result<std::vector<std::string>> environment = procfs.environment(pid);
  if (!environment) return std::nullopt;
  const auto found = std::ranges::find_if(
      *environment, [](const std::string& entry) { return entry.starts_with(kPipeVariable); });
  if (found == environment->end()) return std::nullopt;
  return fs::path(found->substr(kPipeVariable.size()));
}

}  // namespace

Result<std::vector<MpsProcess>> findMpsProcesses(const os::Procfs& procfs, const fs::path& folder,
                                                 MpsProgram program) {
  TRY(const std::vector<std::int64_t> pids, procfs.processes());
  std::vector<MpsProcess> found;
  for (const std::int64_t pid : pids) {
    // A program that was updated meanwhile ends in " (deleted)".
    const Result<std::string> name = procfs.executableName(pid);
    if (!name || !name->starts_with(executable(program))) continue;
    const std::optional<fs::path> pipe = pipeDirectory(procfs, pid);
    if (!pipe || !liesBelow(*pipe, folder)) continue;
    const Result<os::ProcessStat> stat = procfs.stat(pid);
    if (stat && stat->state != 'Z') found.push_back({stat->id, *pipe});
  }
  return found;
}

}  // namespace berth::sharing
