#include "guard/pacing.h"

#include <algorithm>

namespace berth::guard {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::uint64_t kDefaultBurstNs = 25'000'000;
constexpr std::uint32_t kWholeGpu = 1000;
constexpr std::uint32_t kMaxChargePermille = 100'000;
constexpr std::uint64_t kMeanOf = 8;

std::uint64_t lesser(std::uint64_t a, std::uint64_t b) noexcept {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

}  // namespace

void Cost::add(std::uint64_t nanoseconds, std::uint64_t now) noexcept {
  nanoseconds = std::max<std::uint64_t>(nanoseconds, 1);
  const std::uint32_t samples = samples_.load(kRelaxed);
  if (samples % kWindow == 0) {
    least_before_.store(least_now_.load(kRelaxed), kRelaxed);
    least_now_.store(nanoseconds, kRelaxed);
  } else {
    least_now_.store(lesser(least_now_.load(kRelaxed), nanoseconds), kRelaxed);
  }
  least_.store(lesser(least_before_.load(kRelaxed), least_now_.load(kRelaxed)), kRelaxed);
  const std::uint64_t mean = mean_.load(kRelaxed);
  mean_.store(samples == 0 ? nanoseconds : mean - mean / kMeanOf + nanoseconds / kMeanOf, kRelaxed);
  measured_at_.store(now, kRelaxed);
  samples_.store(samples + 1, kRelaxed);
}

void Cost::assume(std::uint64_t nanoseconds) noexcept {
  if (known()) return;
  least_.store(nanoseconds, kRelaxed);
  mean_.store(nanoseconds, kRelaxed);
}

void Cost::forget() noexcept {
  samples_.store(0, kRelaxed);
  least_.store(0, kRelaxed);
  least_now_.store(0, kRelaxed);
  least_before_.store(0, kRelaxed);
  mean_.store(0, kRelaxed);
}

Cost& CostTable::of(std::uint64_t key) noexcept {
  key |= 1;  // 0 is a free entry
  const std::size_t start = (key * 0x9e3779b97f4a7c15) >> 52U;
  static_assert(kEntries == 1U << 12U);
  for (std::size_t i = 0; i < kProbes; ++i) {
    Cost& entry = entries_[(start + i) % kEntries];
    std::uint64_t seen = entry.key.load(kRelaxed);
    if (seen == key) return entry;
    if (seen == 0 && (entry.key.compare_exchange_strong(seen, key) || seen == key)) return entry;
  }
  Cost& victim = entries_[(start + (key >> 5U) % kProbes) % kEntries];
  victim.forget();
  victim.key.store(key, kRelaxed);
  return victim;
}

Rate Rate::of(const GpuLimits& limits) noexcept {
  Rate rate;
  const std::uint32_t permille = limits.compute_permille.load(kRelaxed);
  if (permille == 0 || permille >= kWholeGpu) return rate;
  const bool alone = limits.contenders.load(kRelaxed) == 1;
  if (alone && limits.pacing.load(kRelaxed) == kPaceWhenContended) return rate;
  rate.permille = permille;
  const std::uint32_t charge = limits.charge_permille.load(kRelaxed);
  rate.charge_permille = charge == 0 ? kWholeGpu : std::min(charge, kMaxChargePermille);
  rate.turn = limits.turn.load(kRelaxed);
  const std::uint32_t burst_us = limits.burst_us.load(kRelaxed);
  rate.burst_ns = burst_us == 0 ? kDefaultBurstNs : std::uint64_t{burst_us} * 1000;
  return rate;
}

std::uint64_t Rate::nextTurn(std::uint64_t from) const noexcept {
  if (turn == 0 || turn > kWholeGpu) return from;
  const std::uint64_t begins = kTurnNs * (turn - 1) / kWholeGpu;
  const std::uint64_t lasts = kTurnNs * permille / kWholeGpu;
  // How far into its own turn `from` is, with a period that begins where the turn does.
  const std::uint64_t into = (from + kTurnNs - begins) % kTurnNs;
  return into < lasts ? from : from + (kTurnNs - into);
}

void TokenBucket::charge(const Rate& rate, std::uint64_t gpu_ns, std::uint64_t now) noexcept {
  const std::uint64_t step = rate.wallTime(gpu_ns);
  const std::uint64_t window = rate.window();
  const std::uint64_t oldest = now > window ? now - window : 0;
  std::uint64_t seen = usage_.paid_until_ns.load(kRelaxed);
  if (seen >= oldest) {
    usage_.paid_until_ns.fetch_add(step, kRelaxed);
    return;
  }
  while (!usage_.paid_until_ns.compare_exchange_weak(seen, std::max(seen, oldest) + step, kRelaxed)) continue;
}

void TokenBucket::giveBack(const Rate& rate, std::uint64_t gpu_ns) noexcept {
  usage_.paid_until_ns.fetch_sub(rate.wallTime(gpu_ns), kRelaxed);
}

void TokenBucket::adopt(const Rate& rate, std::uint64_t now) noexcept {
  std::uint64_t before = usage_.paid_permille.load(kRelaxed);
  if (before == rate.permille || !usage_.paid_permille.compare_exchange_strong(before, rate.permille)) return;
  std::uint64_t seen = usage_.paid_until_ns.load(kRelaxed);
  // One process does this, the one whose exchange came through. A far debt is cut: it may be garbage.
  constexpr std::uint64_t kFarthest = 600'000'000'000;
  for (;;) {
    if (seen <= now) return;
    const std::uint64_t owed =
        std::min(seen - now, kFarthest) / rate.permille * std::min<std::uint64_t>(before, kWholeGpu);
    if (usage_.paid_until_ns.compare_exchange_weak(seen, now + owed, kRelaxed)) return;
  }
}

}  // namespace berth::guard
