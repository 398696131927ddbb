#include "gpu/vfio/users.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <system_error>
#include <utility>

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/text.h"
#include "gpu/pci.h"
#include "gpu/vfio/group.h"
#include "os/files.h"

namespace berth::vfio {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kAttributeLimit = 4096;
constexpr std::size_t kContainerIdLength = 64;
constexpr int kDepth = 6;  // DEVICE/drm/card0/card0-DP-1/...: nodes lie well above this.
constexpr unsigned kNvidiaMajor = 195;
constexpr std::int64_t kMaxMajor = (1 << 12) - 1;
constexpr std::int64_t kMaxMinor = (1 << 20) - 1;

/// The value of a file `dev`, if it has one.
void addNumber(const fs::path& file, DeviceNumbers& numbers) {
  const Result<std::string> text = os::readFile(file, kAttributeLimit);
  if (!text) return;
  if (const Result<dev_t> number = parseDeviceNumber(*text)) numbers.insert(*number);
}

/// Block devices have a `dev` too, below a folder `block`; a GPU has none.
void addNumbersBelow(const fs::path& folder, int depth, DeviceNumbers& numbers) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string file = entry->path().filename().string();
    std::error_code none;
    if (file == "dev") addNumber(entry->path(), numbers);
    if (depth == 0 || entry->is_symlink(none) || !entry->is_directory(none)) continue;
    if (gpu::parsePciAddress(file)) continue;  // Another function, below a bridge.
    addNumbersBelow(entry->path(), depth - 1, numbers);
  }
}

std::optional<dev_t> nvidiaNode(const PciAddress& device, const fs::path& proc) {
  const Result<std::string> text =
      os::readFile(proc / "driver/nvidia/gpus" / device.value / "information", kAttributeLimit);
  if (!text) return std::nullopt;
  const Result<unsigned> minor_number = parseNvidiaMinor(*text);
  if (!minor_number) return std::nullopt;
  return makedev(kNvidiaMajor, *minor_number);
}

bool isOneOf(const DeviceNumbers& devices, const fs::path& link) {
  struct stat found{};
  return ::stat(link.c_str(), &found) == 0 && S_ISCHR(found.st_mode) && devices.contains(found.st_rdev);
}

/// True when an entry of the folder of magic links leads to one of the devices.
bool leadsTo(const DeviceNumbers& devices, const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (isOneOf(devices, entry->path())) return true;
  }
  return false;
}

/// Without a blocking or allocating walk over /proc's other files: only the folders whose name is a pid.
Result<std::vector<std::int64_t>> processIds(const fs::path& proc) {
  std::error_code error;
  std::vector<std::int64_t> pids;
  for (fs::directory_iterator entry(proc, error), end; !error && entry != end; entry.increment(error)) {
    if (const auto pid = parseWholeNumber(entry->path().filename().string())) pids.push_back(*pid);
  }
  if (error) return fail(errnoError(error.value(), "read", proc.string()));
  std::ranges::sort(pids);
  return pids;
}

DeviceUser describeUser(std::int64_t pid, const fs::path& proc) {
  const os::Procfs procfs(proc);
  DeviceUser user{pid, {}, {}};
  if (auto executable = procfs.executableName(pid)) user.executable = *std::move(executable);
  if (const auto groups = procfs.cgroup(pid)) user.container = containerIn(*groups);
  return user;
}

std::string describe(const DeviceUser& user) {
  const std::string program = user.executable.empty() ? std::string("a program") : user.executable;
  const std::string where =
      user.container.empty() ? std::string() : " in container " + user.container.substr(0, 12);
  return "process " + std::to_string(user.pid) + " (" + program + ")" + where;
}

}  // namespace

Result<dev_t> parseDeviceNumber(std::string_view text) {
  const std::vector<std::string> parts = split(trim(text), ':');
  if (parts.size() == 2) {
    const auto major_number = parseWholeNumber(parts[0]);
    const auto minor_number = parseWholeNumber(parts[1]);
    if (major_number && minor_number && *major_number <= kMaxMajor && *minor_number <= kMaxMinor) {
      return makedev(static_cast<unsigned>(*major_number), static_cast<unsigned>(*minor_number));
    }
  }
  return fail(ErrorCode::Corrupt, "a file dev of sysfs holds no device number");
}

Result<unsigned> parseNvidiaMinor(std::string_view information) {
  constexpr std::string_view kKey = "Device Minor:";
  for (const std::string& line : split(information, '\n')) {
    if (!line.starts_with(kKey)) continue;
    const auto number = parseWholeNumber(trim(std::string_view(line).substr(kKey.size())));
    if (number && *number <= kMaxMinor) return static_cast<unsigned>(*number);
  }
  return fail(ErrorCode::Corrupt, "the NVIDIA driver's description of the GPU has no device minor");
}

std::string containerIn(const std::vector<os::CgroupEntry>& groups) {
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  for (const os::CgroupEntry& group : groups) {
    std::size_t run = 0;
    for (std::size_t i = 0; i <= group.path.size(); ++i) {
      if (i < group.path.size() && is_digit(group.path[i])) {
        ++run;
        continue;
      }
      if (run == kContainerIdLength) return group.path.substr(i - run, run);
      run = 0;
    }
  }
  return {};
}

Result<DeviceNumbers> deviceNumbers(const PciAddress& device, const fs::path& sysfs, const fs::path& proc) {
  TRY(const gpu::PciDevice found, gpu::PciBus(sysfs).device(device));
  DeviceNumbers numbers;
  std::error_code error;
  const fs::path folder = fs::canonical(sysfs / "bus/pci/devices" / device.value, error);
  if (error) return fail(errnoError(error.value(), "follow", device.value));
  addNumbersBelow(folder, kDepth, numbers);
  if (const auto node = nvidiaNode(device, proc)) numbers.insert(*node);
  if (found.iommu_group && found.driver == kVfioDriver) {
    addNumber(sysfs / "class/vfio" / std::to_string(*found.iommu_group) / "dev", numbers);
  }
  return numbers;
}

Result<std::vector<DeviceUser>> usersOf(const DeviceNumbers& devices, const fs::path& proc) {
  std::vector<DeviceUser> users;
  if (devices.empty()) return users;
  TRY(const std::vector<std::int64_t> pids, processIds(proc));
  for (const std::int64_t pid : pids) {
    const fs::path folder = proc / std::to_string(pid);
    if (leadsTo(devices, folder / "fd") || leadsTo(devices, folder / "map_files")) {
      users.push_back(describeUser(pid, proc));
    }
  }
  return users;
}

Result<void> checkUnused(const std::vector<DeviceUser>& users) {
  if (users.empty()) return {};
  Error error{ErrorCode::Refused, {}, kDeviceInUse, {}};
  std::vector<std::string> names;
  for (const DeviceUser& user : users) {
    names.push_back(describe(user));
    error.details.push_back({names.back(), "has the GPU open",
                             user.container.empty() ? "end it: kill " + std::to_string(user.pid)
                                                    : "stop its container " + user.container.substr(0, 12)});
  }
  error.message = "the GPU is in use by " + join(names, ", ");
  return fail(std::move(error));
}

}  // namespace berth::vfio
