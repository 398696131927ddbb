#include "gpu/vfio/sysfs_settings.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/text.h"
#include "gpu/pci.h"
#include "gpu/vfio/group.h"
#include "gpu/vfio/survey.h"
#include "os/files.h"
#include "os/procfs.h"

namespace berth::vfio {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMark = "BERTH_SYSFS_DEVICE";
constexpr std::size_t kAttributeLimit = 4096;
constexpr std::size_t kEnvironmentLimit = std::size_t{1} << 20;

/// dd says "dd: error writing '/sys/...': Device or resource busy"; the kernel's words are the last part.
std::string reasonOf(const std::string& errors) {
  const std::string line = errors.substr(0, errors.find('\n'));
  const std::size_t at = line.rfind(": ");
  return at == std::string::npos ? line : line.substr(at + 2);
}

bool carriesMark(const fs::path& environment, const std::string& mark) {
  const Result<std::string> bytes = os::readFile(environment, kEnvironmentLimit);
  if (!bytes) return false;
  const std::vector<std::string> entries = split(*bytes, '\0');
  return std::ranges::find(entries, mark) != entries.end();
}

/// A zombie has done its write.
bool isAlive(const os::Procfs& procfs, std::int64_t pid) {
  const auto stat = procfs.stat(pid);
  return stat && stat->state != 'Z' && stat->state != 'X';
}

const char* attributeFile(Attribute attribute) {
  switch (attribute) {
    case Attribute::PowerControl:
      return "power/control";
    case Attribute::D3cold:
      return "d3cold_allowed";
    case Attribute::Override:
      return "driver_override";
    case Attribute::Persistence:
    case Attribute::Driver:
      break;
  }
  return nullptr;
}

/// The driver that is bound; empty: none. NotFound: no such device.
Result<std::string> boundDriver(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error))
    return fail(ErrorCode::NotFound, folder.filename().string() + " is not on the PCI bus");
  return fs::read_symlink(folder / "driver", error).filename().string();
}

}  // namespace

Result<void> HelperWriter::write(const fs::path& file, const std::string& text, const PciAddress& device,
                                 Deadline deadline) {
  os::ProcessSpec helper;
  helper.argv = {"dd", "status=none", "conv=nocreat,notrunc", "of=" + file.string()};
  helper.env = {{kMark, device.value}, {"LC_ALL", "C"}};
  helper.input = text + "\n";
  Result<os::ProcessResult> done = runner_.run(helper, deadline);
  if (!done && done.error().code == ErrorCode::Timeout) {
    return fail(
        Error{ErrorCode::Timeout, "the kernel does not answer a write to " + file.string(), kSysfsHung, {}});
  }
  if (!done) return fail(std::move(done).error());
  if (done->status.success()) return {};
  return fail(ErrorCode::Io, "write \"" + text + "\" to " + file.string() + ": " + reasonOf(done->errors));
}

Result<std::vector<std::int64_t>> HelperWriter::pending(const PciAddress& device) {
  const std::string mark = std::string(kMark) + "=" + device.value;
  const os::Procfs procfs(proc_);
  std::vector<std::int64_t> pids;
  std::error_code error;
  for (fs::directory_iterator entry(proc_, error), end; !error && entry != end; entry.increment(error)) {
    const auto pid = parseWholeNumber(entry->path().filename().string());
    if (pid && carriesMark(entry->path() / "environ", mark) && isAlive(procfs, *pid)) pids.push_back(*pid);
  }
  if (error) return fail(errnoError(error.value(), "read", proc_.string()));
  return pids;
}

fs::path SysfsSettings::folder(const PciAddress& device) const {
  return sysfs_ / "bus/pci/devices" / device.value;
}

Result<void> SysfsSettings::checkNotHung(const PciAddress& device) {
  TRY(const std::vector<std::int64_t> pids, writer_.pending(device));
  if (pids.empty()) return {};
  return fail(Error{ErrorCode::Unavailable,
                    "an earlier change of " + device.value + " hangs in the kernel (process " +
                        std::to_string(pids.front()) + "); end what uses the device, or restart the box",
                    kSysfsHung,
                    {}});
}

Result<std::string> SysfsSettings::read(Attribute attribute, const PciAddress& device) {
  TRY_VOID(checkNotHung(device));
  if (attribute == Attribute::Driver) return boundDriver(folder(device));
  if (attribute == Attribute::Persistence) {
    if (persistence_ == nullptr) return fail(ErrorCode::NotFound, device.value + " has no persistence mode");
    TRY(const bool on, persistence_->get(device));
    return on ? "on" : "off";
  }
  TRY(const std::string text, os::readFile(folder(device) / attributeFile(attribute), kAttributeLimit));
  std::string value(trim(text));
  if (value == "(null)") value.clear();  // The kernel's "no override".
  return value;
}

Result<void> SysfsSettings::write(Attribute attribute, const PciAddress& device, const std::string& value,
                                  Deadline deadline) {
  TRY_VOID(checkNotHung(device));
  if (attribute == Attribute::Driver) return writeDriver(device, value, deadline);
  if (attribute == Attribute::Persistence) {
    if (persistence_ == nullptr) return fail(ErrorCode::NotFound, device.value + " has no persistence mode");
    return persistence_->set(device, value == "on", deadline);
  }
  return writer_.write(folder(device) / attributeFile(attribute), value, device, deadline);
}

Result<void> SysfsSettings::writeDriver(const PciAddress& device, const std::string& driver,
                                        Deadline deadline) {
  TRY(const std::string bound, boundDriver(folder(device)));
  const fs::path drivers = sysfs_ / "bus/pci/drivers";
  if (!bound.empty()) TRY_VOID(writer_.write(drivers / bound / "unbind", device.value, device, deadline));
  if (driver.empty()) return {};
  std::error_code none;
  if (!fs::exists(drivers / driver, none)) {
    return fail(ErrorCode::NotFound, "the kernel has no driver " + driver + " (any more); load its module");
  }
  // With an override in force drivers_probe binds that driver and no other.
  TRY(const std::string override_now, read(Attribute::Override, device));
  const fs::path file = override_now == driver ? sysfs_ / "bus/pci/drivers_probe" : drivers / driver / "bind";
  return writer_.write(file, device.value, device, deadline);
}

Result<void> ensureVfioDriver(os::ProcessRunner& runner, Deadline deadline, const fs::path& sysfs) {
  const fs::path driver = sysfs / "bus/pci/drivers" / kVfioDriver;
  std::error_code none;
  if (fs::exists(driver, none)) return {};
  os::ProcessSpec modprobe;
  modprobe.argv = {"modprobe", kVfioDriver};
  const Result<os::ProcessResult> done = runner.run(modprobe, deadline);
  if (done && done->status.success() && fs::exists(driver, none)) return {};
  const std::string why = !done ? done.error().message : std::string(trim(done->errors));
  const std::string message = "the kernel's driver vfio-pci could not be loaded: " + why;
  return fail(
      Error{ErrorCode::Refused, message, kVfioMissing, {{kVfioDriver, message, "modprobe vfio-pci"}}});
}

}  // namespace berth::vfio
