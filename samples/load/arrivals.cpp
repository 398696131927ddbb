#include "arrivals.h"

#include <algorithm>
#include <cmath>

namespace berth::samples {

Nanoseconds Windows::at(Nanoseconds active) const {
  if (always()) return active;
  return active / on_ * (on_ + off_) + active % on_;
}

Nanoseconds Windows::next(Nanoseconds now) const {
  if (always()) return now;
  const Nanoseconds inside = now % (on_ + off_);
  return inside < on_ ? now : now - inside + on_ + off_;
}

Nanoseconds Arrivals::next() {
  double gap = mean_ns_;
  if (at_random_) {
    // The library's distributions differ between machines; 53 bits of the generator do not.
    constexpr double kStep = 0x1.0p-53;
    const double uniform = static_cast<double>(random_() >> 11U) * kStep;
    gap *= -std::log1p(-uniform);
  }
  active_ns_ += gap;
  return windows_.at(Nanoseconds(static_cast<std::int64_t>(std::min(active_ns_, 0x1.0p62))));
}

}  // namespace berth::samples
