// berth-sim: makes simulated GPUs, shows them and lets them fail.
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/gpu.h"
#include "engine/profile.h"
#include "engine/state_folder.h"
#include "tools/status_json.h"

namespace {

using namespace berth;       // NOLINT(google-build-using-namespace): a program, not a header
using namespace berth::sim;  // NOLINT(google-build-using-namespace)

constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

constexpr std::string_view kHelp =
    "usage: berth-sim create DIR SPEC [--profiles FILE]   SPEC: t4:2 or t4:1,a2:1; 1 to 8 GPUs\n"
    "       berth-sim list DIR\n"
    "       berth-sim status DIR [--json]\n"
    "       berth-sim fault DIR GPU xid N | lost | hang | ecc N | thermal CELSIUS | recovered\n"
    "       berth-sim bind DIR GPU vfio | nvidia\n"
    "       berth-sim remove DIR\n"
    "GPU is an index or a UUID. Programs find the folder by BERTH_SIM_DIR, else /run/berth-sim.\n";

using Words = std::vector<std::string>;

int report(const Error& error) {
  std::fprintf(stderr, "berth-sim: %s\n", error.message.c_str());
  return error.code == ErrorCode::InvalidArgument ? kUsage : kFailed;
}

template <typename T>
int finish(const Result<T>& result) {
  return result ? kDone : report(result.error());
}

int usage(std::string_view what) {
  std::fprintf(stderr, "berth-sim: %.*s\n%.*s", static_cast<int>(what.size()), what.data(),
               static_cast<int>(kHelp.size()), kHelp.data());
  return kUsage;
}

std::filesystem::path shippedProfiles() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return self.parent_path().parent_path() / "share" / "profiles.txt";
}

/// The user's profiles come first, so that they replace shipped ones of the same key.
Result<std::vector<Profile>> allProfiles(const Words& words) {
  std::vector<Profile> profiles;
  if (words.size() == 4) {
    TRY(profiles, loadProfiles(words[3]));
  }
  TRY(const auto shipped, loadProfiles(shippedProfiles()));
  profiles.insert(profiles.end(), shipped.begin(), shipped.end());
  return profiles;
}

Result<void> createFrom(const Words& words) {
  TRY(const auto profiles, allProfiles(words));
  TRY(const auto gpus, parseGpuSpec(words[1], profiles));
  return createGpus(words[0], gpus);
}

int create(const Words& words) {
  if (words.size() != 2 && !(words.size() == 4 && words[2] == "--profiles")) {
    return usage("create wants DIR SPEC [--profiles FILE]");
  }
  return finish(createFrom(words));
}

int list(const Words& words) {
  if (words.size() != 1) return usage("list wants DIR");
  for (const auto& gpu : openFolder(words[0])) {
    std::printf("%u  %s  %s  %s\n", gpu->index(), gpu->uuid().c_str(), gpu->pciBusId().c_str(),
                gpu->profile().name.c_str());
  }
  return kDone;
}

int status(const Words& words) {
  const bool json = words.size() == 2 && words[1] == "--json";
  if (words.size() != 1 && !json) return usage("status wants DIR [--json]");
  std::string array;
  for (const auto& file : openFolder(words[0])) {
    LockedGpu gpu(*file);
    if (gpu.status() != Status::Ok) {
      return report({ErrorCode::Timeout, file->path().string() + ": cannot be locked", {}, {}});
    }
    gpu.reap();
    if (json) {
      array += (array.empty() ? "" : ",\n ") + statusJson(*file, gpu);
      continue;
    }
    const Telemetry telemetry = gpu.telemetry();
    std::printf("%u  %s  %s%s  %llu of %llu MiB  %.0f %%  %u W  %zu processes\n", file->index(),
                file->profile().name.c_str(), gpu.bound() ? "vfio" : "nvidia", gpu.lost() ? ", lost" : "",
                static_cast<unsigned long long>(gpu.usedBytes() >> 20U),
                static_cast<unsigned long long>(file->profile().memory_bytes >> 20U),
                telemetry.utilisation * 100, telemetry.power_mw / 1000, gpu.clients().size());
  }
  if (json) std::printf("[%s]\n", array.c_str());
  return kDone;
}

int fault(const Words& words) {
  if (words.size() < 3) return usage("fault wants DIR GPU and a fault");
  const auto gpu = findGpu(words[0], words[1]);
  if (!gpu) return report(gpu.error());
  return finish(injectFault(**gpu, Words(words.begin() + 2, words.end())));
}

int bind(const Words& words) {
  if (words.size() != 3) return usage("bind wants DIR GPU vfio|nvidia");
  const auto gpu = findGpu(words[0], words[1]);
  if (!gpu) return report(gpu.error());
  return finish(bindGpu(**gpu, words[2]));
}

int removeAll(const Words& words) {
  if (words.size() != 1) return usage("remove wants DIR");
  return finish(removeGpus(words[0]));
}

int run(const std::string& verb, const Words& words) {
  if (verb == "create") return create(words);
  if (verb == "list") return list(words);
  if (verb == "status") return status(words);
  if (verb == "fault") return fault(words);
  if (verb == "bind") return bind(words);
  if (verb == "remove") return removeAll(words);
  return usage("unknown command " + verb);
}

}  // namespace

int main(int argc, char** argv) {
  const Words words(argv + 1, argv + argc);
  if (words.empty()) return usage("a command is missing");
  if (words[0] == "--help" || words[0] == "help") {
    std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
    return kDone;
  }
  return run(words[0], Words(words.begin() + 1, words.end()));
}
