// The two clocks that pacing needs, and sleeping; tests bring their own.
#pragma once

#include <cstdint>

namespace berth::guard {

struct Clock {
  /// CLOCK_MONOTONIC in nanoseconds, exact.
  std::uint64_t (*now)() noexcept;
  /// The same, a tick of a few milliseconds behind at most, for a tenth of the price.
  std::uint64_t (*coarse)() noexcept;
  void (*sleep)(std::uint64_t nanoseconds) noexcept;
};

const Clock& systemClock() noexcept;

}  // namespace berth::guard
