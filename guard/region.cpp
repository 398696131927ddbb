#include "guard/region.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace berth::guard {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

std::uint64_t addSaturating(std::uint64_t a, std::uint64_t b) noexcept {
  const std::uint64_t sum = a + b;
  return sum < a ? std::numeric_limits<std::uint64_t>::max() : sum;
}

/// What a process uses, with a reservation that its slot does not show yet.
std::uint64_t bytesOf(const GpuUsage& gpu, std::uint32_t slot) noexcept {
  const UsedWord used = UsedWord::of(gpu.used[slot].load(kRelaxed));
  const TicketWord ticket = TicketWord::of(gpu.ticket.load(kRelaxed));
  const bool pending = ticket.slot == slot && ticket.sequence != used.sequence;
  return (used.granules + (pending ? ticket.granules : 0)) * kGranule;
}

ProcessGpuUsage usageOf(const GpuUsage& gpu, std::uint32_t slot) noexcept {
  const Counters& counters = gpu.counters[slot];
  return {bytesOf(gpu, slot), counters.gpu_ns.load(kRelaxed), counters.throttled_ns.load(kRelaxed),
          counters.launches.load(kRelaxed), counters.refused.load(kRelaxed)};
}

ProcessUsage processOf(const UsageRegion& usage, std::uint32_t index, std::uint64_t owner,
                       std::size_t gpu_count) {
  const Slot& slot = usage.slots[index];
  const std::uint32_t flags = slot.flags.load(kRelaxed);
  ProcessUsage process{.slot = index,
                       .owner = SlotOwner::of(owner),
                       .pid_namespace = slot.pid_namespace.load(kRelaxed),
                       .seen_ns = slot.seen_ns.load(kRelaxed),
                       .uses_driver = (flags & kSlotUsesDriver) != 0,
                       .has_context = (flags & kSlotHasContext) != 0,
                       .gpus = {}};
  for (std::size_t i = 0; i < gpu_count; ++i) process.gpus.push_back(usageOf(usage.gpu(i), index));
  return process;
}

struct alignas(64) Line {
  std::array<std::byte, 64> bytes;
};
static_assert(usageBytes(1) % sizeof(Line) == 0 && usageBytes(2) % sizeof(Line) == 0);

}  // namespace

bool initialiseLimits(LimitsRegion& limits, std::span<const std::string_view> uuids) noexcept {
  const auto too_long = [](std::string_view uuid) {
    return uuid.empty() || uuid.size() >= sizeof(GpuLimits::uuid);
  };
  if (uuids.empty() || uuids.size() > kMaxGpus || std::any_of(uuids.begin(), uuids.end(), too_long))
    return false;
  for (std::size_t i = 0; i < uuids.size(); ++i) uuids[i].copy(limits.gpus[i].uuid.data(), uuids[i].size());
  limits.gpu_count = static_cast<std::uint32_t>(uuids.size());
  limits.version = kLayoutVersion;
  limits.size = sizeof(LimitsRegion);
  limits.magic = kLimitsMagic;
  return true;
}

void initialiseUsage(UsageRegion& usage, std::size_t gpu_count) noexcept {
  usage.header.gpu_count = static_cast<std::uint32_t>(gpu_count);
  usage.header.version = kLayoutVersion;
  usage.header.size = usageBytes(gpu_count);
  usage.header.magic = kUsageMagic;
}

std::optional<std::vector<ProcessUsage>> readUsage(std::span<const std::byte> copy, std::size_t gpu_count) {
  if (gpu_count > kMaxGpus || copy.size() < usageBytes(gpu_count)) return std::nullopt;
  // The words are read as atomics, which want their alignment; a caller's buffer need not have it.
  std::vector<Line> lines(usageBytes(gpu_count) / sizeof(Line));
  std::memcpy(lines.data(), copy.data(), usageBytes(gpu_count));
  const auto& usage = *reinterpret_cast<const UsageRegion*>(lines.data());
  if (!validUsage(usage.header, copy.size(), gpu_count)) return std::nullopt;

  std::vector<ProcessUsage> processes;
  for (std::uint32_t i = 0; i < kMaxProcesses; ++i) {
    const std::uint64_t owner = usage.slots[i].owner.load(kRelaxed);
    if (owner != 0) processes.push_back(processOf(usage, i, owner, gpu_count));
  }
  return processes;
}

ProcessGpuUsage totalOf(std::span<const ProcessUsage> processes, std::size_t gpu) {
  ProcessGpuUsage total;
  for (const ProcessUsage& process : processes) {
    if (gpu >= process.gpus.size()) continue;
    const ProcessGpuUsage& one = process.gpus[gpu];
    total.bytes = addSaturating(total.bytes, one.bytes);
    total.gpu_ns = addSaturating(total.gpu_ns, one.gpu_ns);
    total.throttled_ns = addSaturating(total.throttled_ns, one.throttled_ns);
    total.launches = addSaturating(total.launches, one.launches);
    total.refused = addSaturating(total.refused, one.refused);
  }
  return total;
}

}  // namespace berth::guard
