// Shared state and its lock in one object.
#pragma once

#include <mutex>
#include <utility>

namespace berth {

/// Owns a T and the mutex that protects it. g++ has no thread-safety analysis; with this there is no way to
/// write the unlocked access it would have caught.
template <typename T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}

  /// Runs fn(T&) under the lock and returns what it returns, by value. fn does no I/O and takes no other
  /// lock.
  template <typename Fn>
  auto with(Fn&& fn) {
    const std::scoped_lock lock(mutex_);
    return std::forward<Fn>(fn)(value_);
  }

  template <typename Fn>
  auto with(Fn&& fn) const {
    const std::scoped_lock lock(mutex_);
    return std::forward<Fn>(fn)(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_{};
};

}  // namespace berth
