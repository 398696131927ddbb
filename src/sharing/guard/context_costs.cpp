#include "sharing/guard/context_costs.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

namespace berth::sharing {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kLeast = 16 * kMiB;
constexpr std::int64_t kMost = 2048 * kMiB;

}  // namespace

void ContextCosts::look(const std::vector<ContextSeen>& seen) {
  std::map<os::ProcessId, Pending> next;
  std::set<std::string> containers;
  for (const ContextSeen& each : seen) {
    containers.insert(each.container);
    const std::int64_t missing = each.driver_bytes - each.guard_bytes;
    const auto known = pending_.find(each.process);
    if (known == pending_.end()) {
      next[each.process] = {missing, of(each.container), first_};
      continue;
    }
    Pending pending = known->second;
    const bool agrees = std::abs(missing - pending.missing) < kMiB;
    if (!pending.settled && agrees) {
      const std::int64_t cost = missing + static_cast<std::int64_t>(pending.charged);
      costs_[each.container] = static_cast<std::uint64_t>(std::clamp(cost, kLeast, kMost));
      pending.settled = true;
    }
    pending.missing = missing;
    next[each.process] = pending;
  }
  pending_ = std::move(next);
  std::erase_if(costs_, [&](const auto& cost) { return !containers.contains(cost.first); });
  first_ = false;
}

std::uint64_t ContextCosts::of(const std::string& container) const {
  const auto found = costs_.find(container);
  return found == costs_.end() ? kAssumedContextBytes : found->second;
}

}  // namespace berth::sharing
