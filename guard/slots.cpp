#include "guard/slots.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "guard/accounting.h"

namespace berth::guard {
namespace {

/// Reads /proc/NAME/stat, which is one line of numbers; nothing when it cannot be read.
std::optional<StatFields> readStat(const char* name) noexcept {
  std::array<char, 64> path{};
  std::strcpy(path.data(), "/proc/");
  std::strncat(path.data(), name, 20);
  std::strcat(path.data(), "/stat");
  const int fd = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::array<char, 1024> text{};
  const ssize_t length = ::read(fd, text.data(), text.size());
  ::close(fd);
  if (length <= 0) return std::nullopt;
  return parseStat({text.data(), static_cast<std::size_t>(length)});
}

std::optional<StatFields> readStat(std::uint32_t pid) noexcept {
  std::array<char, 16> name{};
  std::to_chars(name.data(), name.data() + name.size() - 1, pid);
  return readStat(name.data());
}

bool skipFields(std::string_view& text, int count) noexcept {
  for (int i = 0; i < count; ++i) {
    const std::size_t blank = text.find(' ');
    if (blank == std::string_view::npos) return false;
    text.remove_prefix(blank + 1);
  }
  return true;
}

bool number(std::string_view text, std::uint64_t& value) noexcept {
  return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
}

/// Out of the link's text, "pid:[4026531836]"; 0 when there is none.
std::uint64_t pidNamespace() noexcept {
  std::array<char, 64> text{};
  const ssize_t length = ::readlink("/proc/self/ns/pid", text.data(), text.size());
  constexpr std::string_view kPrefix = "pid:[";
  std::uint64_t inode = 0;
  if (length > static_cast<ssize_t>(kPrefix.size())) {
    number(std::string_view(text.data(), static_cast<std::size_t>(length)).substr(kPrefix.size()), inode);
  }
  return inode;
}

std::uint64_t execId() noexcept {
  std::uint64_t id = 0;
  // 16 random bytes that the kernel gives each program it executes.
  // NOLINTNEXTLINE(performance-no-int-to-ptr): as getauxval(3) says it
  if (const auto* random = reinterpret_cast<const void*>(::getauxval(AT_RANDOM)); random != nullptr) {
    std::memcpy(&id, random, sizeof id);
  }
  return id != 0 ? id : 1;
}

}  // namespace

std::optional<StatFields> parseStat(std::string_view text) noexcept {
  // The program's name, in parentheses, may itself hold any byte; what follows the last one is fields 3 and
  // on.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= text.size()) return std::nullopt;
  text.remove_prefix(name_end + 2);
  StatFields fields{.state = text.front()};
  if (!skipFields(text, 20 - 3) || !number(text, fields.threads)) return std::nullopt;
  if (!skipFields(text, 22 - 20) || !number(text, fields.start_ticks)) return std::nullopt;
  return fields;
}

Identity self() noexcept {
  Identity identity;
  identity.owner.pid = static_cast<std::uint32_t>(::getpid());
  if (const auto fields = readStat("self")) identity.owner.start_ticks = fields->start_ticks;
  identity.pid_namespace = pidNamespace();
  identity.exec_id = execId();
  return identity;
}

bool isAlive(const SlotOwner& owner) noexcept {
  if (::kill(static_cast<pid_t>(owner.pid), 0) != 0 && errno == ESRCH) return false;
  const auto fields = readStat(owner.pid);
  if (!fields) return true;
  // A program whose main thread has ended looks like a zombie, but has other threads.
  const bool ended = fields->state == 'X' || (fields->state == 'Z' && fields->threads <= 1);
  return fields->start_ticks == owner.start_ticks && !ended;
}

std::uint32_t Slots::end() const noexcept { return std::min(usage_.header.slots_end.load(), kMaxProcesses); }

bool Slots::isDead(std::uint32_t slot, std::uint64_t owner, const Identity& identity) const noexcept {
  if (limits_.dead[slot].load(std::memory_order_relaxed) == owner) return true;
  const SlotOwner holder = SlotOwner::of(owner);
  const bool same_process =
      holder.pid == identity.owner.pid && holder.start_ticks == identity.owner.start_ticks;
  if (same_process || usage_.slots[slot].pid_namespace.load() != identity.pid_namespace) return false;
  return !isAlive(holder);
}

void Slots::clear(std::uint32_t slot) noexcept {
  for (std::uint32_t i = 0; i < limits_.gpu_count; ++i) {
    Accounting(usage_, i).clear(slot);
    Counters& counters = usage_.gpu(i).counters[slot];
    counters.gpu_ns = 0;
    counters.throttled_ns = 0;
    counters.launches = 0;
    counters.refused = 0;
  }
  usage_.slots[slot].flags = 0;
  usage_.slots[slot].exec_id = 0;
}

bool Slots::reapOne(std::uint32_t slot, const Identity& identity) noexcept {
  std::uint64_t owner = usage_.slots[slot].owner.load();
  if (owner == 0 || !isDead(slot, owner, identity)) return false;
  SlotOwner reaper = identity.owner;
  reaper.reaping = true;
  if (!usage_.slots[slot].owner.compare_exchange_strong(owner, reaper.word())) return false;
  usage_.slots[slot].pid_namespace = identity.pid_namespace;
  clear(slot);
  usage_.slots[slot].owner = 0;
  return true;
}

bool Slots::reap(const Identity& identity) noexcept {
  bool any = false;
  for (std::uint32_t i = 0; i < end(); ++i) any = reapOne(i, identity) || any;
  return any;
}

void Slots::fill(std::uint32_t slot, const Identity& identity) noexcept {
  usage_.slots[slot].pid_namespace = identity.pid_namespace;
  usage_.slots[slot].exec_id = identity.exec_id;
}

Slots::Claim Slots::claim(const Identity& identity, std::uint32_t& slot) noexcept {
  const std::uint64_t word = identity.owner.word();
  for (std::uint32_t i = 0; i < end(); ++i) {
    if (usage_.slots[i].owner.load() != word) continue;
    slot = i;
    if (usage_.slots[i].exec_id.load() == identity.exec_id) return Claim::AlreadyMine;
    clear(i);
    fill(i, identity);
    return Claim::Taken;
  }
  reap(identity);
  for (std::uint32_t i = 0; i < kMaxProcesses; ++i) {
    // The end first: a slot that counts must never lie behind it, whenever its process is killed.
    std::uint32_t seen = usage_.header.slots_end.load();
    while (seen <= i && !usage_.header.slots_end.compare_exchange_weak(seen, i + 1)) continue;
    std::uint64_t free = 0;
    if (!usage_.slots[i].owner.compare_exchange_strong(free, word)) continue;
    fill(i, identity);
    slot = i;
    return Claim::Taken;
  }
  return Claim::Full;
}

}  // namespace berth::guard
