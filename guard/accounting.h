// Counts one GPU's memory over all processes of the container, exactly, without locks: the scheme is
// described in docs/formats/guard-region.md. Allocates nothing and throws nothing. Safe from every thread and
// process.
#pragma once

#include <cstdint>

#include "guard/region.h"

namespace berth::guard {

/// The smallest number of granules that hold so many bytes.
constexpr std::uint64_t granulesOf(std::uint64_t bytes) noexcept {
  return bytes / kGranule + (bytes % kGranule != 0 ? 1 : 0);
}

class Accounting {
 public:
  Accounting(UsageRegion& usage, std::size_t gpu) noexcept : usage_(usage), gpu_(usage.gpu(gpu)) {}

  /// Takes `granules` for `slot`, or takes nothing and says no because the container's sum would pass
  /// `limit`. To be called before the driver is asked.
  bool reserve(std::uint32_t slot, std::uint64_t granules, std::uint64_t limit) noexcept;
  /// Takes them whatever the limit: there is none, or the memory is there already.
  void charge(std::uint32_t slot, std::uint64_t granules) noexcept;
  /// Gives back what one of the above took.
  void release(std::uint32_t slot, std::uint64_t granules) noexcept;
  /// Gives back all of a slot whose process is dead or was replaced by exec.
  void clear(std::uint32_t slot) noexcept;

  /// Granules in use by the whole container, as they were at one moment.
  std::uint64_t used() noexcept;
  std::uint64_t usedBy(std::uint32_t slot) const noexcept;

 private:
  void carryOver(TicketWord ticket) noexcept;
  std::uint64_t sum() const noexcept;

  UsageRegion& usage_;
  GpuUsage& gpu_;
};

}  // namespace berth::guard
