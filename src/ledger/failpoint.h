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

/// What berthd uses, by BERTH_FAILPOINT in the environment. A number n above 0: kills this process (SIGKILL)
/// at the n-th crossing. An absolute path of a folder: each crossing adds the line "<number> <name>" to its
/// file `crossings`, emptied here, and the one whose number stands in its file `kill-at` kills; so a test can
/// choose while the daemon runs. nullptr: not set, or neither. Call before threads start.
std::unique_ptr<FailPoint> failPointFromEnvironment();

}  // namespace berth::ledger
