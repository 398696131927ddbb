// guard_run [--memory MIB] [--compute PERMILLE] PROGRAM ARGUMENT...: runs a program as a limited container
// would, with the guard's test variant preloaded and region files of its own for the GPUs of `berth-sim
// create t4:2`. For tests and measurements. Exit status: the program's.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include "engine/profile.h"
#include "engine/state_folder.h"
#include "guard/region_files.h"

namespace {

using berth::guard::GpuShare;

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "guard_run: %s\n", message.c_str());
  std::exit(125);
}

/// The first two T4 of a simulated box; their names follow from profile and index.
std::vector<berth::GpuUuid> simulatedGpus() {
  berth::sim::Profile profile;
  profile.key = "t4";
  std::vector<berth::GpuUuid> gpus;
  for (std::uint32_t i = 0; i < 2; ++i) {
    gpus.emplace_back(berth::sim::textOf(berth::sim::identityOf(profile, i).uuid));
  }
  return gpus;
}

void makeRegion(const std::filesystem::path& folder, const std::vector<berth::GpuUuid>& gpus,
                const GpuShare& share, std::uint32_t turn) {
  auto limits = berth::guard::LimitsFile::create(folder / "limits", gpus);
  if (!limits) die(limits.error().message);
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    limits->setShare(i, share);
    limits->setFeedback(i, {.turn = turn});
  }
  if (auto made = berth::guard::createUsageFile(folder / "usage", gpus.size()); !made)
    die(made.error().message);
}

int run(char** command, const std::filesystem::path& folder) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("BERTH_GUARD_TEST_DIR", folder.c_str(), 1);
    ::setenv("LD_PRELOAD", GUARD_TEST_LIBRARY, 1);
    ::execv(command[0], command);
    die(std::string("cannot run ") + command[0]);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int main(int argc, char** argv) {
  GpuShare share;
  std::uint32_t turn = 0;
  std::vector<berth::GpuUuid> gpus = simulatedGpus();
  int next = 1;
  for (; next + 1 < argc && argv[next][0] == '-'; next += 2) {
    const auto value = static_cast<std::uint32_t>(std::strtoul(argv[next + 1], nullptr, 10));
    if (std::strcmp(argv[next], "--memory") == 0) share.memory_bytes = std::uint64_t{value} << 20U;
    if (std::strcmp(argv[next], "--turn") == 0) turn = value;
    if (std::strcmp(argv[next], "--gpu") == 0) gpus = {berth::GpuUuid(argv[next + 1])};
    if (std::strcmp(argv[next], "--compute") == 0) share.compute_permille = value;
  }
  if (next >= argc) die("no program");
  std::string folder = (std::filesystem::temp_directory_path() / "guard-run-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) die("no temporary folder");
  makeRegion(folder, gpus, share, turn);
  const int status = run(argv + next, folder);
  std::filesystem::remove_all(folder);
  return status;
}
