#include "container/gpu_edits.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>

#include <boost/json.hpp>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guard/region.h"
#include "os/files.h"
#include "os/unique_fd.h"

namespace berth::container {

namespace {

namespace json = boost::json;

constexpr std::string_view kCdiVersion = "0.5.0";
constexpr std::size_t kMaxMountInfoBytes = std::size_t{16} << 20;
constexpr std::string_view kMissingReason = "GpuEditsMissing";

void addFiles(const DriverFiles& files, GpuEdits& edits) {
  const std::string folders[] = {"/usr/lib/" + std::string(architectureTriplet()), "/usr/lib64"};
  for (const std::string& folder : folders) {
    for (const DriverFile& library : files.libraries) {
      edits.binds.push_back({library.source, folder + "/" + library.name, true});
    }
  }
  for (const DriverFile& program : files.programs) {
    edits.binds.push_back({program.source, "/usr/bin/" + program.name, true});
  }
}

void addRealGpus(const DriverFiles& files, const std::vector<GpuInContainer>& gpus, GpuEdits& edits) {
  for (const GpuInContainer& gpu : gpus)
    edits.devices.push_back("/dev/nvidia" + std::to_string(gpu.minor_number));
  edits.devices.insert(edits.devices.end(), files.control_devices.begin(), files.control_devices.end());
}

Result<void> addSimulatedGpus(const std::vector<GpuInContainer>& gpus, GpuEdits& edits) {
  const auto folder = std::filesystem::path(gpus.front().state_file).parent_path();
  for (const GpuInContainer& gpu : gpus) {
    const std::filesystem::path file = gpu.state_file;
    if (!file.is_absolute() || file.parent_path() != folder) {
      return fail(ErrorCode::InvalidArgument, "state file '" + gpu.state_file + "' of " + gpu.uuid.value +
                                                  " is not an absolute path in the simulation's folder");
    }
    edits.binds.push_back({gpu.state_file, gpu.state_file, false});
  }
  edits.env.emplace_back("BERTH_SIM_DIR", folder.string());
  return {};
}

Result<void> addMps(const GpuEditRequest& request, const MpsClient& mps, GpuEdits& edits) {
  if (request.gpus.size() != 1) {
    return fail(ErrorCode::InvalidArgument,
                "a container under MPS has one GPU, not " + std::to_string(request.gpus.size()));
  }
  edits.binds.push_back({mps.pipe_directory, mps.pipe_directory, false});
  edits.env.emplace_back("CUDA_MPS_PIPE_DIRECTORY", mps.pipe_directory);
  if (!request.host_ipc) edits.binds.push_back({mps.shm_directory, "/dev/shm", false});
  if (mps.thread_percentage.value > 0) {
    edits.env.emplace_back("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", std::to_string(mps.thread_percentage.value));
  }
  // By ordinal: the container sees one GPU, and the daemon serves one.
  if (mps.pinned_memory.value > 0) {
    edits.env.emplace_back("CUDA_MPS_PINNED_DEVICE_MEM_LIMIT",
                           "0=" + std::to_string(mps.pinned_memory.value) + "M");
  }
  return {};
}

// Only the usage file can be written: limits are the daemon's, and a library or a preload file that could be
// changed would be no guard.
void addGuard(const GuardInContainer& guard, GpuEdits& edits) {
  edits.binds.push_back({guard.library, guard::kLibraryPath, true});
  edits.binds.push_back({guard.limits, guard::kLimitsPath, true});
  edits.binds.push_back({guard.usage, guard::kUsagePath, false});
  edits.binds.push_back({guard.preload, guard::kPreloadPath, true});
}

std::string uuids(const std::vector<GpuInContainer>& gpus) {
  std::string list;
  for (const GpuInContainer& gpu : gpus) {
    if (!list.empty()) list += ',';
    list += gpu.uuid.value;
  }
  return list;
}

bool isLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// SPEC.md, "Device name": letters, digits, '_', '-', '.', ':', letters or digits at both ends.
bool isCdiName(std::string_view name) {
  if (name.empty() || !isLetterOrDigit(name.front()) || !isLetterOrDigit(name.back())) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return isLetterOrDigit(c) || c == '_' || c == '-' || c == '.' || c == ':';
  });
}

json::object containerEdits(const GpuEdits& edits) {
  json::array env;
  for (const auto& [name, value] : edits.env) {
    env.emplace_back(json::string(name)).get_string().append("=").append(value);
  }
  json::array nodes;
  for (const std::string& device : edits.devices) nodes.push_back(json::object{{"path", device}});
  json::array mounts;
  for (const Bind& bind : edits.binds) {
    mounts.push_back(
        json::object{{"hostPath", bind.source},
                     {"containerPath", bind.target},
                     {"options", json::array{bind.read_only ? "ro" : "rw", "nosuid", "nodev", "bind"}}});
  }
  // The schema wants at least one item in a list that is there.
  json::object object;
  if (!env.empty()) object["env"] = std::move(env);
  if (!nodes.empty()) object["deviceNodes"] = std::move(nodes);
  if (!mounts.empty()) object["mounts"] = std::move(mounts);
  return object;
}

// What a path is inside the container. Links are followed within its root: an image's link to /etc means the
// container's /etc, never the host's.
std::optional<struct stat> statInside(const os::UniqueFd& root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT;
  const os::UniqueFd file(
      static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
  struct stat status{};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return std::nullopt;
  return status;
}

std::optional<struct stat> statHere(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return status;
}

bool sameFile(const os::UniqueFd& root, const Bind& bind) {
  const auto inside = statInside(root, bind.target);
  const auto here = statHere(bind.source);
  return inside && here && inside->st_dev == here->st_dev && inside->st_ino == here->st_ino;
}

bool sameDevice(const os::UniqueFd& root, const std::string& path) {
  const auto inside = statInside(root, path);
  const auto here = statHere(path);
  const auto is_node = [](const struct stat& status) {
    return S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode);
  };
  return inside && here && is_node(*inside) && is_node(*here) && inside->st_rdev == here->st_rdev;
}

// A target below a link of the image is mounted under another name: the file itself decides then.
bool arrived(const os::UniqueFd& root, const std::vector<MountPoint>& mounts, const Bind& bind) {
  if (!bind.volume && !sameFile(root, bind)) return false;
  const bool named = std::any_of(mounts.begin(), mounts.end(),
                                 [&](const MountPoint& mount) { return mount.target == bind.target; });
  return named ? missingBinds(mounts, {bind}).empty() : !bind.volume;
}

}  // namespace

Result<GpuEdits> gpuEdits(const DriverFiles& files, const GpuEditRequest& request) {
  if (request.gpus.empty()) return fail(ErrorCode::InvalidArgument, "GPU edits without a GPU");
  GpuEdits edits;
  addFiles(files, edits);
  edits.env.emplace_back("NVIDIA_VISIBLE_DEVICES", uuids(request.gpus));
  if (files.simulated) {
    TRY_VOID(addSimulatedGpus(request.gpus, edits));
  } else {
    addRealGpus(files, request.gpus, edits);
  }
  if (request.guard) addGuard(*request.guard, edits);
  if (request.mps) TRY_VOID(addMps(request, *request.mps, edits));
  return edits;
}

Result<void> applyEdits(const GpuEdits& edits, ContainerConfig& config) {
  for (const Bind& bind : edits.binds) {
    const auto clash = std::find_if(config.binds.begin(), config.binds.end(),
                                    [&](const Bind& own) { return own.target == bind.target; });
    if (clash != config.binds.end()) {
      return fail(ErrorCode::InvalidArgument, "the container mounts '" + clash->source + "' at '" +
                                                  clash->target + "', where its GPU's files go");
    }
  }
  config.binds.insert(config.binds.end(), edits.binds.begin(), edits.binds.end());
  for (const std::string& device : edits.devices) {
    if (std::find(config.devices.begin(), config.devices.end(), device) == config.devices.end()) {
      config.devices.push_back(device);
    }
  }
  for (const auto& variable : edits.env) {
    std::erase_if(config.env, [&](const auto& own) { return own.first == variable.first; });
    config.env.push_back(variable);
  }
  return {};
}

Result<std::string> cdiSpec(const std::vector<CdiDevice>& devices) {
  if (devices.empty()) return fail(ErrorCode::InvalidArgument, "a CDI specification needs a device");
  std::set<std::string> names;
  json::array list;
  for (const CdiDevice& device : devices) {
    if (!isCdiName(device.name) || !names.insert(device.name).second) {
      return fail(ErrorCode::InvalidArgument, "'" + device.name + "' cannot name a CDI device here");
    }
    list.push_back(json::object{{"name", device.name}, {"containerEdits", containerEdits(device.edits)}});
  }
  return json::serialize(
      json::object{{"cdiVersion", kCdiVersion}, {"kind", kCdiKind}, {"devices", std::move(list)}});
}

std::vector<Bind> missingBinds(const std::vector<MountPoint>& mounts, const std::vector<Bind>& binds) {
  std::vector<Bind> missing;
  for (const Bind& bind : binds) {
    const auto last = std::find_if(mounts.rbegin(), mounts.rend(),
                                   [&](const MountPoint& mount) { return mount.target == bind.target; });
    if (last == mounts.rend() || last->read_only != bind.read_only) missing.push_back(bind);
  }
  return missing;
}

Result<void> verifyEdits(std::int64_t pid, const GpuEdits& edits) {
  const std::string process = "/proc/" + std::to_string(pid);
  const os::UniqueFd root(::open((process + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (root.get() < 0) return fail(errnoError(errno, "open", process + "/root"));
  TRY(const std::string text, os::readFile(process + "/mountinfo", kMaxMountInfoBytes));
  if (text.empty()) return fail(ErrorCode::NotFound, "process " + std::to_string(pid) + " is gone");
  TRY(const auto mounts, parseMountInfo(text));

  Error error{ErrorCode::Io, "the container runs without all of its GPU's files",
              std::string(kMissingReason)};
  for (const Bind& bind : edits.binds) {
    if (!arrived(root, mounts, bind)) error.details.push_back({bind.target, "is not " + bind.source, ""});
  }
  for (const std::string& device : edits.devices) {
    if (!sameDevice(root, device)) error.details.push_back({device, "is not the host's device", ""});
  }
  if (error.details.empty()) return {};
  return fail(std::move(error));
}

}  // namespace berth::container
