// Holds a container to its share of a GPU's time. What was used is charged to one token bucket of the whole
// container (GpuUsage::paid_until_ns); a launch waits until the charges before it are paid off.
//
// GPU time is measured by events around launches. An event pair also counts what other processes ran between
// them, so a kernel's cost is the least of its recent measurements: a kernel that is shorter than a time
// slice is sooner or later measured without a stranger in between. For kernels longer than that the daemon's
// feedback (GpuLimits::charge_permille) puts the sum right. Most launches are not measured but charged what
// their kernel costs; each measurement corrects what its launch was charged.
//
// No locks, nothing allocated, nothing thrown.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "guard/clock.h"
#include "guard/region.h"

namespace berth::guard {

/// What a kernel (or graph) costs, learned from measurements. All fields may be read and written by several
/// threads at once; a lost update costs accuracy for one measurement.
class Cost {
 public:
  /// GPU time of one launch in nanoseconds. `alone`: nobody else uses the GPU, so the mean is exact.
  std::uint64_t estimate(bool alone) const noexcept {
    return alone ? mean_.load(std::memory_order_relaxed) : least_.load(std::memory_order_relaxed);
  }
  bool known() const noexcept { return samples_.load(std::memory_order_relaxed) != 0; }
  /// Whether the next launch should be measured.
  bool due(std::uint64_t now) const noexcept {
    return samples_.load(std::memory_order_relaxed) < kSamplesAtFirst ||
           now - measured_at_.load(std::memory_order_relaxed) > kMeasureEvery;
  }
  void add(std::uint64_t nanoseconds, std::uint64_t now) noexcept;
  /// An estimate for a kernel whose first launch does not end.
  void assume(std::uint64_t nanoseconds) noexcept;
  /// Makes room for another kernel.
  void forget() noexcept;

  std::atomic<std::uint64_t> key{0};
  std::atomic<std::uint32_t> pending{0};  // Measurements under way

 private:
  static constexpr std::uint32_t kSamplesAtFirst = 4;
  static constexpr std::uint64_t kMeasureEvery = 2'000'000;
  static constexpr std::uint32_t kWindow = 16;

  std::atomic<std::uint64_t> least_{0};
  std::atomic<std::uint64_t> least_now_{0};     // Of the window under way
  std::atomic<std::uint64_t> least_before_{0};  // Of the one before
  std::atomic<std::uint64_t> mean_{0};
  std::atomic<std::uint64_t> measured_at_{0};
  std::atomic<std::uint32_t> samples_{0};
};

/// Costs by key. A kernel that finds its places taken replaces another.
class CostTable {
 public:
  Cost& of(std::uint64_t key) noexcept;

 private:
  static constexpr std::size_t kEntries = 4096;
  static constexpr std::size_t kProbes = 4;
  std::array<Cost, kEntries> entries_;
};

/// The rate at which a container pays off GPU time, from one GPU's limits.
struct Rate {
  std::uint32_t permille = 0;  // 0: no limit
  std::uint32_t charge_permille = 1000;
  std::uint64_t burst_ns = 0;  // GPU time
  std::uint32_t turn = 0;      // GpuLimits::turn

  static Rate of(const GpuLimits& limits) noexcept;
  bool limited() const noexcept { return permille != 0; }
  /// Wall time that pays off so much measured GPU time.
  std::uint64_t wallTime(std::uint64_t gpu_ns) const noexcept { return gpu_ns * charge_permille / permille; }
  /// The first time from `from` on that is in the container's turn.
  std::uint64_t nextTurn(std::uint64_t from) const noexcept;
  /// How far back paid_until may lie: wall time that is worth the burst.
  std::uint64_t window() const noexcept { return burst_ns * 1000 / permille; }
};

/// One GPU's bucket, shared by the processes of the container.
class TokenBucket {
 public:
  explicit TokenBucket(GpuUsage& usage) noexcept : usage_(usage) {}

  /// Wall time until the next launch may start; 0: now.
  std::uint64_t wait(std::uint64_t now) const noexcept {
    const std::uint64_t paid_until = usage_.paid_until_ns.load(std::memory_order_relaxed);
    return paid_until > now ? paid_until - now : 0;
  }
  void charge(const Rate& rate, std::uint64_t gpu_ns, std::uint64_t now) noexcept;
  void giveBack(const Rate& rate, std::uint64_t gpu_ns) noexcept;
  /// What is owed was reckoned at another rate: reckons it anew, so that a raised limit counts at once.
  void adopt(const Rate& rate, std::uint64_t now) noexcept;

 private:
  GpuUsage& usage_;
};

}  // namespace berth::guard
