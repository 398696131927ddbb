// What a context costs in device memory, which a program never asks for and which its container's limit holds
// all the same. The driver's figure for a process less what its guard counted is what is missing; it is
// learned for each container by itself, because a container may forge what its guard counts.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "os/procfs.h"

namespace berth::sharing {

/// Charged for a context until the container's first one has been measured. A T4's is about 110 MiB.
inline constexpr std::uint64_t kAssumedContextBytes = std::uint64_t{128} << 20U;

/// A process of a limited container that has a context and a slot.
struct ContextSeen {
  std::string container;
  os::ProcessId process;
  std::int64_t driver_bytes = 0;
  std::int64_t guard_bytes = 0;
};

/// One thread.
class ContextCosts {
 public:
  /// Everything that is seen at one time. A process counts once, when two looks in a row agree. Those of the
  /// first look are passed over: what their contexts were charged is not known.
  void look(const std::vector<ContextSeen>& seen);

  std::uint64_t of(const std::string& container) const;

 private:
  struct Pending {
    std::int64_t missing = 0;
    std::uint64_t charged = 0;  // For its context, when it was first seen.
    bool settled = false;
  };
  bool first_ = true;
  std::map<os::ProcessId, Pending> pending_;
  std::map<std::string, std::uint64_t> costs_;
};

}  // namespace berth::sharing
