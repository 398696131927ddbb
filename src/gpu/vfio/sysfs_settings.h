// The settings of PCI functions in sysfs. A write to sysfs runs the driver's code and may hang for good (the
// NVIDIA driver waits until nobody uses the GPU, vfio-pci until the VM has gone), so a helper process does
// each write under a deadline, and this one never sits in the kernel itself.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "gpu/vfio/move.h"
#include "os/process.h"

namespace berth::vfio {

/// Writes a whole text into one file of sysfs.
class SysfsWriter {
 public:
  virtual ~SysfsWriter() = default;
  /// `device` is whom it is for. Timeout: the kernel had not answered by the deadline, and the write goes on
  /// without us. Io: it refused; its words in the message.
  virtual Result<void> write(const std::filesystem::path& file, const std::string& text,
                             const PciAddress& device, Deadline deadline) = 0;
  /// Writers for that device that have not come back, an earlier daemon's among them.
  virtual Result<std::vector<std::int64_t>> pending(const PciAddress& device) = 0;
};

/// Each write is one dd, which carries the device's address in its environment: this is how one that hangs is
/// found again, also by the next daemon.
class HelperWriter final : public SysfsWriter {
 public:
  /// `runner` outlives this.
  explicit HelperWriter(os::ProcessRunner& runner, std::filesystem::path proc = "/proc")
      : runner_(runner), proc_(std::move(proc)) {}

  Result<void> write(const std::filesystem::path& file, const std::string& text, const PciAddress& device,
                     Deadline deadline) override;
  Result<std::vector<std::int64_t>> pending(const PciAddress& device) override;

 private:
  os::ProcessRunner& runner_;
  std::filesystem::path proc_;
};

/// Persistence mode of GPUs that the NVIDIA driver has, which sysfs does not know.
class Persistence {
 public:
  virtual ~Persistence() = default;
  /// NotFound: the driver does not have the GPU.
  virtual Result<bool> get(const PciAddress& gpu) = 0;
  virtual Result<void> set(const PciAddress& gpu, bool on, Deadline deadline) = 0;
};

/// Safe from several threads where the writer is.
class SysfsSettings final : public DeviceSettings {
 public:
  /// Both outlive this; without `persistence` no GPU has that mode.
  SysfsSettings(SysfsWriter& writer, Persistence* persistence, std::filesystem::path sysfs = "/sys")
      : writer_(writer), persistence_(persistence), sysfs_(std::move(sysfs)) {}

  /// Also Unavailable with reason kSysfsHung: a change of this device hangs, so nothing it shows will stay.
  Result<std::string> read(Attribute attribute, const PciAddress& device) override;
  Result<void> write(Attribute attribute, const PciAddress& device, const std::string& value,
                     Deadline deadline) override;

 private:
  std::filesystem::path folder(const PciAddress& device) const;
  Result<void> checkNotHung(const PciAddress& device);
  Result<void> writeDriver(const PciAddress& device, const std::string& driver, Deadline deadline);

  SysfsWriter& writer_;
  Persistence* persistence_;
  std::filesystem::path sysfs_;
};

/// Loads vfio-pci where the kernel does not have it yet. Refused with reason kVfioMissing: modprobe could
/// not.
Result<void> ensureVfioDriver(os::ProcessRunner& runner, Deadline deadline,
                              const std::filesystem::path& sysfs = "/sys");

}  // namespace berth::vfio
