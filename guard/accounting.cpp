#include "guard/accounting.h"

#include <algorithm>

namespace berth::guard {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

/// How often used() looks again while others keep reserving.
constexpr int kSnapshotTries = 10'000;

/// One more, but not what the slot's word already shows: that would read as carried over.
std::uint32_t nextSequence(std::uint32_t last, std::uint32_t shown) noexcept {
  const std::uint32_t next = (last + 1) & UsedWord::kSequenceMask;
  return next == shown ? (next + 1) & UsedWord::kSequenceMask : next;
}

}  // namespace

bool Accounting::reserve(std::uint32_t slot, std::uint64_t granules, std::uint64_t limit) noexcept {
  if (granules > limit || granules * kGranule > kMaxReservation) return false;
  for (;;) {
    std::uint64_t seen = gpu_.ticket.load();
    const TicketWord last = TicketWord::of(seen);
    carryOver(last);
    if (sum() > limit - granules) {
      if (gpu_.ticket.load() == seen) return false;
      continue;
    }
    const std::uint32_t shown = UsedWord::of(gpu_.used[slot].load(kRelaxed)).sequence;
    const TicketWord mine{static_cast<std::uint32_t>(granules), slot, nextSequence(last.sequence, shown)};
    if (!gpu_.ticket.compare_exchange_strong(seen, mine.word())) continue;
    carryOver(mine);
    return true;
  }
}

void Accounting::carryOver(TicketWord ticket) noexcept {
  std::atomic<std::uint64_t>& word = gpu_.used[ticket.slot];
  std::uint64_t seen = word.load();
  for (;;) {
    const UsedWord used = UsedWord::of(seen);
    if (used.sequence == ticket.sequence) return;
    // Another ticket meanwhile: this one has been carried over by whoever took that.
    if (TicketWord::of(gpu_.ticket.load()).sequence != ticket.sequence) return;
    const UsedWord after{used.granules + ticket.granules, ticket.sequence};
    if (word.compare_exchange_weak(seen, after.word())) return;
  }
}

void Accounting::charge(std::uint32_t slot, std::uint64_t granules) noexcept {
  gpu_.used[slot].fetch_add(granules << UsedWord::kSequenceBits);
}

void Accounting::release(std::uint32_t slot, std::uint64_t granules) noexcept {
  std::uint64_t seen = gpu_.used[slot].load(kRelaxed);
  for (;;) {
    UsedWord used = UsedWord::of(seen);
    used.granules -= std::min(used.granules, granules);  // A damaged region must not wrap around
    if (gpu_.used[slot].compare_exchange_weak(seen, used.word())) return;
  }
}

void Accounting::clear(std::uint32_t slot) noexcept {
  carryOver(TicketWord::of(gpu_.ticket.load()));
  gpu_.used[slot].fetch_and(UsedWord::kSequenceMask);
}

std::uint64_t Accounting::sum() const noexcept {
  const std::uint32_t end = std::min(usage_.header.slots_end.load(kRelaxed), kMaxProcesses);
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < end; ++i) total += UsedWord::of(gpu_.used[i].load()).granules;
  return total;
}

std::uint64_t Accounting::used() noexcept {
  std::uint64_t total = 0;
  for (int tries = 0; tries < kSnapshotTries; ++tries) {
    const std::uint64_t seen = gpu_.ticket.load();
    carryOver(TicketWord::of(seen));
    total = sum();
    if (gpu_.ticket.load() == seen) break;
  }
  return total;
}

std::uint64_t Accounting::usedBy(std::uint32_t slot) const noexcept {
  return UsedWord::of(gpu_.used[slot].load()).granules;
}

}  // namespace berth::guard
