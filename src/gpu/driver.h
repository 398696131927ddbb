// The GPU driver as Berth uses it: NVML from the driver root, real or simulated alike (design 3, "one driver
// path").
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace berth::gpu {

enum class ComputeMode : std::uint8_t { Default, ExclusiveProcess, Prohibited };

/// A GPU as NVML lists it. Identity is UUID and PCI address, never the index.
struct GpuInfo {
  GpuUuid uuid;
  PciAddress pci;
  std::string name;
  std::uint32_t pci_device_id = 0;  // Device in the upper half, vendor in the lower.
  std::int64_t memory_bytes = 0;
  int compute_major = 0;
  int compute_minor = 0;
  int minor_number = 0;  // N of /dev/nvidiaN.
};

/// One reading; nullopt: this GPU or driver does not say.
struct GpuSample {
  std::int64_t memory_used_bytes = 0;
  std::int64_t memory_total_bytes = 0;
  std::optional<int> utilization_percent;
  std::optional<int> memory_utilization_percent;
  std::optional<int> temperature_c;
  std::optional<int> power_mw;
  std::optional<int> power_limit_mw;
  std::optional<int> sm_clock_mhz;
  std::optional<int> memory_clock_mhz;
  std::optional<std::int64_t> energy_mj;
  ComputeMode compute_mode = ComputeMode::Default;
};

struct GpuProcess {
  std::int64_t pid = 0;  // 0: the driver does not tell (a process of another PID namespace).
  std::int64_t memory_bytes = 0;
  bool mps_client = false;        // "M+C" in nvidia-smi's words
  std::optional<int> sm_percent;  // Over the last sampling window.
};

struct DriverInfo {
  std::string driver_version;
  std::string cuda_version;  // "12.2"
  bool simulated = false;
};

enum class EventKind : std::uint8_t { Xid, EccUncorrected };
struct GpuEvent {
  GpuUuid uuid;
  EventKind kind = EventKind::Xid;
  std::uint64_t data = 0;  // The XID.
};

/// All calls may block for seconds while a GPU falls off the bus: worker threads only. Safe from several
/// threads. Unavailable: no driver, or it does not answer. NotFound: no such GPU (now). A GPU that is lost is
/// Unavailable with reason "GpuLost".
class GpuDriver {
 public:
  virtual ~GpuDriver() = default;
  virtual Result<DriverInfo> info() = 0;
  /// Looks afresh (shuts NVML down and initialises it again when the set may have changed).
  virtual Result<std::vector<GpuInfo>> list() = 0;
  virtual Result<GpuSample> sample(const GpuUuid& uuid) = 0;
  virtual Result<std::vector<GpuProcess>> processes(const GpuUuid& uuid) = 0;
  virtual Result<void> setComputeMode(const GpuUuid& uuid, ComputeMode mode) = 0;
  /// Whether the driver keeps the GPU initialised while nobody uses it. NotFound also: the driver does not
  /// tell.
  virtual Result<bool> persistence(const GpuUuid& uuid) = 0;
  virtual Result<void> setPersistence(const GpuUuid& uuid, bool on) = 0;
  /// Lets go of every GPU: NVML has them open for as long as it is. Until resume() every call but these two
  /// is Unavailable with reason DriverSuspended, so that a GPU can be taken from the driver.
  virtual Result<void> suspend() = 0;
  virtual void resume() = 0;
  /// The next health event of any GPU, or nullopt at the timeout.
  virtual Result<std::optional<GpuEvent>> waitEvent(std::chrono::milliseconds timeout) = 0;
};

}  // namespace berth::gpu
