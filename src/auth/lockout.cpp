#include "auth/lockout.h"

#include <algorithm>

namespace berth::auth {

bool Lockout::isLocked(const std::string& account, Time now) const {
  const auto found = failures_.find(account);
  return found != failures_.end() && now < found->second.locked_until;
}

void Lockout::noteFailure(const std::string& account, Time now) {
  Failures& failures = failures_[account];
  ++failures.count;
  if (failures.count < kFailuresAllowed) return;
  std::chrono::seconds lock = kFirstLock;
  for (int i = kFailuresAllowed; i < failures.count && lock < kLongestLock; ++i) lock *= 2;
  failures.locked_until = now + std::min(lock, kLongestLock);
}

}  // namespace berth::auth
