// How often a wrong secret may be tried. Pure but for what it remembers; one thread at a time.
#pragma once

#include <chrono>
#include <map>
#include <string>

namespace berth::auth {

inline constexpr int kFailuresAllowed = 5;
inline constexpr std::chrono::seconds kFirstLock{30};
inline constexpr std::chrono::seconds kLongestLock{15 * 60};

/// The fifth wrong secret in a row locks an account for 30 seconds, each further one for twice as long, up to
/// 15 minutes. The right one forgets them all.
class Lockout {
 public:
  using Time = std::chrono::steady_clock::time_point;

  bool isLocked(const std::string& account, Time now) const;
  void noteFailure(const std::string& account, Time now);
  void noteSuccess(const std::string& account) { failures_.erase(account); }

 private:
  struct Failures {
    int count = 0;
    Time locked_until{};
  };
  std::map<std::string, Failures> failures_;
};

}  // namespace berth::auth
