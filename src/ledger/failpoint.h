// Where a crash is tried out: the ledger crosses a numbered point before and after every commit, and a test
// kills the daemon at each of them in turn (design 13).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

namespace berth::ledger {

/// Told of every crossing, on the ledger's thread.
class FailPoint {
 public:
  virtual ~FailPoint() = default;
  /// `name` is "<transaction>:before" or "<transaction>:after"; `number` counts all crossings of this ledger
  /// from 1.
  virtual void cross(std::string_view name, std::int64_t number) = 0;
};

/// What berthd uses: with BERTH_FAILPOINT=n in the environment, kills this process (SIGKILL) at the n-th
/// crossing. nullptr when the variable is not set or no number above 0. Call before threads start.
std::unique_ptr<FailPoint> failPointFromEnvironment();

}  // namespace berth::ledger
