#include "guard/clock.h"

#include <ctime>

namespace berth::guard {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

std::uint64_t read(clockid_t clock) noexcept {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * kSecond + static_cast<std::uint64_t>(time.tv_nsec);
}

std::uint64_t now() noexcept { return read(CLOCK_MONOTONIC); }
std::uint64_t coarse() noexcept { return read(CLOCK_MONOTONIC_COARSE); }

void sleepFor(std::uint64_t nanoseconds) noexcept {
  const timespec time{static_cast<time_t>(nanoseconds / kSecond), static_cast<long>(nanoseconds % kSecond)};
  ::nanosleep(&time, nullptr);
}

constexpr Clock kSystemClock{&now, &coarse, &sleepFor};

}  // namespace

const Clock& systemClock() noexcept { return kSystemClock; }

}  // namespace berth::guard
