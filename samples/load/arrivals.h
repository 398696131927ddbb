// When requests come, in nanoseconds from the start of the load. The same seed gives the same times on every
// machine.
#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "options.h"

namespace berth::samples {

using Nanoseconds = std::chrono::nanoseconds;

/// Bursts: time goes by only while it is on.
class Windows {
 public:
  Windows(Nanoseconds on, Nanoseconds off) : on_(on), off_(off) {}

  /// The real time at which `active` nanoseconds of on-time have gone by.
  Nanoseconds at(Nanoseconds active) const;
  /// The first time from `now` on that is in a burst.
  Nanoseconds next(Nanoseconds now) const;

 private:
  bool always() const { return on_.count() == 0 || off_.count() == 0; }

  Nanoseconds on_;
  Nanoseconds off_;
};

/// The times of an open loop, one after the other.
class Arrivals {
 public:
  /// `rate` requests a second, above 0.
  Arrivals(bool at_random, double rate, std::uint64_t seed, Windows windows)
      : at_random_(at_random), mean_ns_(1e9 / rate), random_(seed), windows_(windows) {}

  Nanoseconds next();

 private:
  bool at_random_;
  double mean_ns_;
  double active_ns_ = 0;
  std::mt19937_64 random_;
  Windows windows_;
};

}  // namespace berth::samples
