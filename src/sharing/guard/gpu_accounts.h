// Who used what of each GPU: sums over looks at the driver, with what no container accounts for as an
// explicit remainder, so that the rows of a GPU always add up to the device's own figures.
//
// GPU time of a container is the driver's utilisation of its processes times the time between two looks, as
// the device's is; the guard's own measurement, which is finer and which a container could forge, stays
// beside it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "guard/region.h"

namespace berth::sharing {

struct ProcessReading {
  std::string container;  // Empty: of none that Berth runs.
  std::int64_t memory_bytes = 0;
  int sm_percent = 0;
};

/// One look at one GPU.
struct DeviceReading {
  GpuUuid gpu;
  int busy_percent = 0;
  std::int64_t memory_bytes = 0;
  std::vector<ProcessReading> processes;
};

/// What a container's usage file says of one of its GPUs; counters begin anew with each process.
struct GuardReading {
  std::string container;
  GpuUuid gpu;
  std::vector<guard::ProcessUsage> processes;
  std::size_t position = 0;  // Of the GPU among the container's.
};

/// Use of one GPU. Times in nanoseconds of the whole GPU.
struct GpuUse {
  std::int64_t gpu_ns = 0;           // Since the daemon or the container began.
  std::int64_t recent_permille = 0;  // Of the time of the last looks.
  std::int64_t memory_bytes = 0;     // Now.
  bool operator==(const GpuUse&) const = default;
};

/// By the guard, since the container began or the daemon did.
struct GuardUse {
  std::int64_t gpu_ns = 0;
  std::int64_t throttled_ns = 0;
  std::int64_t launches = 0;
  std::int64_t refused = 0;
  std::int64_t memory_bytes = 0;  // Now
  std::int64_t processes = 0;     // That have reported in, now
  bool operator==(const GuardUse&) const = default;
};

struct ContainerUse {
  std::string container;
  GpuUse use;
  std::optional<GuardUse> guard;
};

/// device == sum of containers + remainder, in each field. The remainder has the processes that are in no
/// container, containers that have ended, and what the driver's figures differ by; it can be negative.
struct GpuReport {
  GpuUuid gpu;
  GpuUse device;
  std::vector<ContainerUse> containers;  // By name
  GpuUse remainder;
};

/// What a container's guard should know about its charging (guard/region.h, GpuLimits).
struct Feedback {
  std::string container;
  GpuUuid gpu;
  std::uint32_t charge_permille = 1000;
  std::uint32_t contenders = 0;
  bool operator==(const Feedback&) const = default;
};

/// The driver's figure divided by the guard's, which counts the time slices of others along: by events, work
/// of one of N processes seems to take up to N times as long, and never less than it does. So between 1/N and
/// 1, whatever a container claims. 1000 where either says next to nothing, or both nearly the same. Pure.
std::uint32_t chargePermille(std::int64_t driver_ns, std::int64_t guard_ns, std::int64_t active_processes);

/// Adds looks up. One thread.
class GpuAccounts {
 public:
  /// One look at every GPU, `elapsed` after the one before. Containers that are in no reading any more are
  /// forgotten; `present` names those that run, whether the driver names a process of theirs or not.
  void add(const std::vector<DeviceReading>& devices, const std::vector<GuardReading>& guards,
           const std::vector<std::pair<std::string, GpuUuid>>& present, std::chrono::nanoseconds elapsed);

  std::vector<GpuReport> report() const;
  /// Of the latest looks, for every container with a guard.
  std::vector<Feedback> feedback() const;

 private:
  struct Account {
    std::int64_t gpu_ns = 0;
    std::int64_t memory_bytes = 0;
    std::deque<std::int64_t> recent_ns;  // One for each of the last looks, the newest last.
  };
  struct GuardAccount {
    GuardUse use;
    std::map<std::uint64_t, guard::ProcessGpuUsage> last;  // By slot owner.
    std::deque<std::int64_t> recent_ns;
  };
  struct Gpu {
    Account device;
    std::map<std::string, Account> containers;
    std::map<std::string, GuardAccount> guards;
    std::deque<std::int64_t> elapsed_ns;
    std::uint32_t active_containers = 0;  // With work in the last look; other processes count as one more.
    std::int64_t active_processes = 0;
  };

  static void book(Account& account, std::int64_t busy_ns, std::int64_t memory_bytes);
  static void book(GuardAccount& account, const GuardReading& reading);
  GpuUse useOf(const Gpu& gpu, const Account& account) const;

  std::map<GpuUuid, Gpu> gpus_;
};

}  // namespace berth::sharing
