#include "engine/state_folder.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <system_error>

#include "base/text.h"
#include "engine/gpu.h"

namespace berth::sim {
namespace {

constexpr std::array<const char*, kMaxGpus> kPciAddresses{
    "00000000:3B:00.0", "00000000:5E:00.0", "00000000:86:00.0", "00000000:AF:00.0",
    "00000000:D8:00.0", "00000000:E1:00.0", "00000000:E5:00.0", "00000000:EA:00.0"};

/// FNV-1a with a final mix: any steady spread of bits will do.
std::uint64_t spread(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char letter : text) hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211ULL;
  hash ^= hash >> 31U;
  hash *= 0x9E3779B97F4A7C15ULL;
  return hash ^ (hash >> 29U);
}

std::string hex(std::uint64_t value) {
  std::string text(16, '0');
  for (std::size_t i = 16; i > 0; --i, value >>= 4U) text[i - 1] = "0123456789abcdef"[value & 15U];
  return text;
}

template <std::size_t Size>
void put(std::array<char, Size>& field, const std::string& text) {
  std::copy_n(text.begin(), std::min(text.size(), Size - 1), field.begin());
}

std::string fileName(const StateHeader& identity) {
  return "gpu-" + textOf(identity.uuid).substr(4) + ".state";
}

bool isStateFile(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with("gpu-") && name.ends_with(".state");
}

Error lockError(Status status, const StateFile& gpu) {
  if (status == Status::Malformed) {
    return {ErrorCode::Corrupt, gpu.path().string() + ": not a GPU's state any more", {}, {}};
  }
  return {ErrorCode::Timeout, gpu.path().string() + ": a process keeps it locked", {}, {}};
}

/// Ok when no process is on the GPU.
Result<void> checkUnused(StateFile& gpu) {
  LockedGpu locked(gpu);
  if (locked.status() != Status::Ok) return fail(lockError(locked.status(), gpu));
  locked.reap();
  const auto clients = locked.clients();
  if (clients.empty()) return {};
  return fail(ErrorCode::Conflict, "GPU " + std::to_string(gpu.index()) + " (" + gpu.uuid() +
                                       ") is in use by process " + std::to_string(clients.front().pid));
}

Result<void> removeFile(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::remove(path, error);
  if (error) return fail(errnoError(error.value(), "remove", path.string()));
  return {};
}

std::vector<std::filesystem::path> stateFiles(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (std::filesystem::directory_iterator i(folder, error), end; !error && i != end; i.increment(error)) {
    if (isStateFile(i->path())) files.push_back(i->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void injectXid(LockedGpu& gpu, std::uint64_t xid) {
  constexpr std::uint64_t kFallenOffTheBus = 79;
  constexpr std::uint64_t kDoubleBitEcc = 48;
  if (xid == kDoubleBitEcc) {
    ++gpu.state().health.ecc_uncorrected;
    gpu.pushEvent(kDoubleBitEvent, 0);
  }
  gpu.pushEvent(kXidEvent, xid);
  if (xid != kFallenOffTheBus) return;
  gpu.state().health.lost = 1;
  gpu.failAll(Status::DeviceLost);
}

void recover(LockedGpu& gpu) {
  gpu.state().health.lost = 0;
  gpu.state().health.hung = 0;
  gpu.state().health.temperature_c = 0;
  gpu.wakeAll();
}

}  // namespace

std::filesystem::path stateFolder() {
  const char* named = std::getenv("BERTH_SIM_DIR");
  return named != nullptr && *named != '\0' ? named : "/run/berth-sim";
}

std::vector<std::shared_ptr<StateFile>> openFolder(const std::filesystem::path& folder, Access access) {
  std::vector<std::shared_ptr<StateFile>> gpus;
  for (const auto& path : stateFiles(folder)) {
    std::shared_ptr<StateFile> gpu;
    if (StateFile::open(path, gpu, access) == Status::Ok) gpus.push_back(gpu);
  }
  std::sort(gpus.begin(), gpus.end(),
            [](const auto& a, const auto& b) { return a->pciBusId() < b->pciBusId(); });
  return gpus;
}

Result<std::vector<Profile>> parseGpuSpec(std::string_view spec, const std::vector<Profile>& profiles) {
  std::vector<Profile> gpus;
  for (const auto& part : split(spec, ',')) {
    const std::size_t colon = part.find(':');
    const std::string key = part.substr(0, colon);
    const auto count = colon == std::string::npos
                           ? std::optional<std::int64_t>(1)
                           : parseWholeNumber(std::string_view(part).substr(colon + 1));
    const auto found = std::find_if(profiles.begin(), profiles.end(),
                                    [&key](const Profile& profile) { return profile.key == key; });
    if (found == profiles.end())
      return fail(ErrorCode::InvalidArgument, "no GPU profile named \"" + key + "\"");
    if (!count || *count < 1 || gpus.size() + static_cast<std::size_t>(*count) > kMaxGpus) {
      return fail(ErrorCode::InvalidArgument, "\"" + std::string(spec) + "\": 1 to 8 GPUs can be simulated");
    }
    gpus.insert(gpus.end(), static_cast<std::size_t>(*count), *found);
  }
  return gpus;
}

StateHeader identityOf(const Profile& profile, std::uint32_t index) {
  StateHeader header{};
  const std::string seed = "berth-sim " + profile.key + " " + std::to_string(index);
  const std::string high = hex(spread(seed));
  const std::string low = hex(spread(seed + " low"));
  put(header.uuid, "GPU-" + high.substr(0, 8) + "-" + high.substr(8, 4) + "-" + high.substr(12, 4) + "-" +
                       low.substr(0, 4) + "-" + low.substr(4, 12));
  put(header.pci_bus_id, kPciAddresses[index % kMaxGpus]);
  put(header.serial,
      "1" + std::to_string(spread(seed + " serial") % 1'000'000'000'000ULL + 1'000'000'000'000ULL).substr(1));
  header.index = index;
  header.profile = toRecord(profile);
  return header;
}

Result<void> createGpus(const std::filesystem::path& folder, const std::vector<Profile>& gpus) {
  if (gpus.empty() || gpus.size() > kMaxGpus) {
    return fail(ErrorCode::InvalidArgument, "1 to 8 GPUs can be simulated");
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(errnoError(error.value(), "create", folder.string()));
  std::vector<StateHeader> missing;
  std::vector<std::filesystem::path> kept;
  for (std::uint32_t i = 0; i < gpus.size(); ++i) {
    const StateHeader identity = identityOf(gpus[i], i);
    const auto path = folder / fileName(identity);
    std::shared_ptr<StateFile> gpu;
    const bool same = StateFile::open(path, gpu) == Status::Ok &&
                      textOf(gpu->state().header.uuid) == textOf(identity.uuid) &&
                      gpu->profile().memory_bytes == gpus[i].memory_bytes &&
                      gpu->profile().sm_count == gpus[i].sm_count;
    if (same) {
      kept.push_back(path);
    } else {
      missing.push_back(identity);
    }
  }
  std::vector<std::filesystem::path> unwanted;
  for (const auto& path : stateFiles(folder)) {
    if (std::find(kept.begin(), kept.end(), path) != kept.end()) continue;
    std::shared_ptr<StateFile> gpu;
    if (StateFile::open(path, gpu) == Status::Ok) TRY_VOID(checkUnused(*gpu));
    unwanted.push_back(path);
  }
  for (const auto& path : unwanted) TRY_VOID(removeFile(path));
  for (const auto& identity : missing) TRY_VOID(StateFile::create(folder / fileName(identity), identity));
  return {};
}

Result<void> removeGpus(const std::filesystem::path& folder) {
  const auto files = stateFiles(folder);
  for (const auto& path : files) {
    std::shared_ptr<StateFile> gpu;
    if (StateFile::open(path, gpu) == Status::Ok) TRY_VOID(checkUnused(*gpu));
  }
  for (const auto& path : files) TRY_VOID(removeFile(path));
  return {};
}

Result<std::shared_ptr<StateFile>> findGpu(const std::filesystem::path& folder, std::string_view name) {
  for (const auto& gpu : openFolder(folder)) {
    if (gpu->uuid() == name || parseWholeNumber(name) == std::int64_t{gpu->index()}) return gpu;
  }
  return fail(ErrorCode::NotFound, "no GPU " + std::string(name) + " in " + folder.string());
}

Result<void> bindGpu(StateFile& gpu, std::string_view driver) {
  if (driver != "vfio" && driver != "nvidia") {
    return fail(ErrorCode::InvalidArgument, "a GPU is bound to nvidia or vfio, not " + std::string(driver));
  }
  const bool vfio = driver == "vfio";
  if (LockedGpu locked(gpu); locked.status() == Status::Ok && locked.bound() == vfio) return {};
  TRY_VOID(checkUnused(gpu));
  LockedGpu locked(gpu);
  if (locked.status() != Status::Ok) return fail(lockError(locked.status(), gpu));
  locked.state().health.binding = static_cast<std::uint32_t>(vfio ? Binding::Vfio : Binding::Nvidia);
  if (vfio) locked.failAll(Status::DeviceLost);  // Who came in between the check and now.
  return {};
}

Result<void> injectFault(StateFile& gpu, const std::vector<std::string>& fault) {
  const std::string kind = fault.empty() ? "" : fault[0];
  const std::int64_t number = fault.size() == 2 ? parseWholeNumber(fault[1]).value_or(0) : 0;
  const bool takes_number = kind == "xid" || kind == "ecc" || kind == "thermal";
  const bool alone = kind == "lost" || kind == "hang" || kind == "recovered";
  if ((!takes_number && !alone) || (alone && fault.size() != 1) ||
      (takes_number && (number < 1 || number > 1000))) {
    return fail(ErrorCode::InvalidArgument,
                "a fault is one of: xid N, lost, hang, ecc N, thermal CELSIUS, recovered (N from 1 to 1000)");
  }
  LockedGpu locked(gpu);
  if (locked.status() != Status::Ok) return fail(lockError(locked.status(), gpu));
  const auto value = static_cast<std::uint64_t>(number);
  if (kind == "xid") injectXid(locked, value);
  if (kind == "lost") injectXid(locked, 79);
  if (kind == "hang") locked.state().health.hung = 1;
  if (kind == "ecc") {
    locked.state().health.ecc_uncorrected += value;
    locked.pushEvent(kDoubleBitEvent, 0);
  }
  if (kind == "thermal") locked.state().health.temperature_c = static_cast<std::uint32_t>(value);
  if (kind == "recovered") recover(locked);
  return {};
}

}  // namespace berth::sim
