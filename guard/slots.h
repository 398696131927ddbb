// Which process holds which slot of the usage file: taken, given up, and cleared when a process is dead.
// Allocates nothing and throws nothing. Safe from every thread and process.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "guard/region.h"

namespace berth::guard {

/// A process as the region knows it.
struct Identity {
  SlotOwner owner;
  std::uint64_t pid_namespace = 0;
  std::uint64_t exec_id = 0;  // Never 0
};

/// What tells whether a process lives, out of /proc/PID/stat. Nothing when the text is not that.
struct StatFields {
  char state = '?';
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;
};
std::optional<StatFields> parseStat(std::string_view text) noexcept;

/// The calling process. Without /proc its start time and namespace are 0.
Identity self() noexcept;

/// True when the process with this pid and start time exists and is no zombie; when in doubt it lives.
bool isAlive(const SlotOwner& owner) noexcept;

class Slots {
 public:
  Slots(UsageRegion& usage, const LimitsRegion& limits) noexcept : usage_(usage), limits_(limits) {}

  enum class Claim : std::uint8_t { Taken, AlreadyMine, Full };
  /// Takes a slot for the process. AlreadyMine: another copy of the guard in this very process holds `slot`.
  /// A slot that the program before an exec left is taken over, its memory given back.
  Claim claim(const Identity& identity, std::uint32_t& slot) noexcept;

  /// Clears the slots of dead processes; true when there was one. `identity` is the caller's.
  bool reap(const Identity& identity) noexcept;

 private:
  bool isDead(std::uint32_t slot, std::uint64_t owner, const Identity& identity) const noexcept;
  bool reapOne(std::uint32_t slot, const Identity& identity) noexcept;
  void clear(std::uint32_t slot) noexcept;
  void fill(std::uint32_t slot, const Identity& identity) noexcept;
  std::uint32_t end() const noexcept;

  UsageRegion& usage_;
  const LimitsRegion& limits_;
};

}  // namespace berth::guard
