// Time, injected, so that tests decide what it is.
#pragma once

#include <chrono>

namespace berth {

/// Two clocks: steady time for deadlines, wall time for records. Safe from every thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::chrono::steady_clock::time_point now() const = 0;
  virtual std::chrono::system_clock::time_point wallTime() const = 0;
};

class SystemClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point now() const override { return std::chrono::steady_clock::now(); }
  std::chrono::system_clock::time_point wallTime() const override { return std::chrono::system_clock::now(); }
};

/// Stands still until told. For tests, one thread.
class FakeClock final : public Clock {
 public:
  std::chrono::steady_clock::time_point now() const override { return now_; }
  std::chrono::system_clock::time_point wallTime() const override { return wall_; }
  void advance(std::chrono::milliseconds by) {
    now_ += by;
    wall_ += by;
  }

 private:
  std::chrono::steady_clock::time_point now_{std::chrono::hours(1)};
  std::chrono::system_clock::time_point wall_{std::chrono::hours(24 * 365 * 50)};
};

}  // namespace berth
