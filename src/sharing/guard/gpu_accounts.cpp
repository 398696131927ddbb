#include "sharing/guard/gpu_accounts.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

namespace berth::sharing {
namespace {

constexpr std::size_t kRecentLooks = 10;
// Both figures are coarse over a second, and the driver's comes late.
constexpr std::size_t kLooksForFeedback = 4;
constexpr std::int64_t kFeedbackDeadBand = 100;
constexpr std::int64_t kLeastForFeedbackNs = 20'000'000;
constexpr std::int64_t kPercent = 100;
constexpr std::int64_t kPermille = 1000;
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

std::int64_t shareOf(std::chrono::nanoseconds elapsed, std::int64_t percent) {
  return elapsed.count() * std::clamp<std::int64_t>(percent, 0, kPercent) / kPercent;
}

/// A container may write any number into its counters.
std::int64_t added(std::int64_t sum, std::uint64_t more) {
  const auto room = static_cast<std::uint64_t>(kMost - sum);
  return sum + static_cast<std::int64_t>(std::min(more, room));
}

std::uint64_t grown(std::uint64_t before, std::uint64_t now) { return now >= before ? now - before : now; }

std::int64_t sum(const std::deque<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

void keep(std::deque<std::int64_t>& values, std::int64_t newest) {
  values.push_back(newest);
  if (values.size() > kRecentLooks) values.pop_front();
}

GpuUse minus(GpuUse left, const GpuUse& use) {
  left.gpu_ns -= use.gpu_ns;
  left.recent_permille -= use.recent_permille;
  left.memory_bytes -= use.memory_bytes;
  return left;
}

std::int64_t activeProcesses(const DeviceReading& device) {
  return std::ranges::count_if(device.processes, [](const ProcessReading& p) { return p.sm_percent > 0; });
}

std::uint32_t activeContainers(const DeviceReading& device) {
  std::set<std::string_view> active;
  for (const ProcessReading& process : device.processes) {
    if (process.sm_percent > 0) active.insert(process.container);
  }
  return static_cast<std::uint32_t>(active.size());
}

struct Together {
  std::int64_t percent = 0;
  std::int64_t memory_bytes = 0;
};

std::map<std::string, Together> byContainer(const DeviceReading& device) {
  std::map<std::string, Together> sums;
  for (const ProcessReading& process : device.processes) {
    if (process.container.empty()) continue;
    Together& together = sums[process.container];
    together.percent += process.sm_percent;
    together.memory_bytes += process.memory_bytes;
  }
  return sums;
}

}  // namespace

std::uint32_t chargePermille(std::int64_t driver_ns, std::int64_t guard_ns, std::int64_t active_processes) {
  if (driver_ns < kLeastForFeedbackNs || guard_ns < kLeastForFeedbackNs) return kPermille;
  const std::int64_t least = kPermille / std::max<std::int64_t>(active_processes, 1);
  const double ratio =
      static_cast<double>(kPermille) * static_cast<double>(driver_ns) / static_cast<double>(guard_ns);
  const std::int64_t charge = std::clamp(static_cast<std::int64_t>(ratio), least, kPermille);
  return static_cast<std::uint32_t>(kPermille - charge <= kFeedbackDeadBand ? kPermille : charge);
}

void GpuAccounts::book(Account& account, std::int64_t busy_ns, std::int64_t memory_bytes) {
  account.gpu_ns += busy_ns;
  account.memory_bytes = memory_bytes;
  keep(account.recent_ns, busy_ns);
}

void GpuAccounts::book(GuardAccount& account, const GuardReading& reading) {
  std::map<std::uint64_t, guard::ProcessGpuUsage> last;
  GuardUse& use = account.use;
  const std::int64_t gpu_ns_before = use.gpu_ns;
  use.memory_bytes = 0;
  use.processes = 0;
  for (const guard::ProcessUsage& process : reading.processes) {
    if (reading.position >= process.gpus.size()) continue;
    const guard::ProcessGpuUsage& now = process.gpus[reading.position];
    const guard::ProcessGpuUsage& before = account.last[process.owner.word()];
    use.gpu_ns = added(use.gpu_ns, grown(before.gpu_ns, now.gpu_ns));
    use.throttled_ns = added(use.throttled_ns, grown(before.throttled_ns, now.throttled_ns));
    use.launches = added(use.launches, grown(before.launches, now.launches));
    use.refused = added(use.refused, grown(before.refused, now.refused));
    use.memory_bytes = added(use.memory_bytes, now.bytes);
    ++use.processes;
    last.insert_or_assign(process.owner.word(), now);
  }
  account.last = std::move(last);
  keep(account.recent_ns, use.gpu_ns - gpu_ns_before);
}

void GpuAccounts::add(const std::vector<DeviceReading>& devices, const std::vector<GuardReading>& guards,
                      const std::vector<std::pair<std::string, GpuUuid>>& present,
                      std::chrono::nanoseconds elapsed) {
  const std::set<std::pair<std::string, GpuUuid>> running(present.begin(), present.end());
  std::map<GpuUuid, Gpu> kept;
  for (const DeviceReading& device : devices) {
    Gpu& gpu = kept.insert_or_assign(device.gpu, std::move(gpus_[device.gpu])).first->second;
    keep(gpu.elapsed_ns, elapsed.count());
    gpu.active_processes = activeProcesses(device);
    gpu.active_containers = activeContainers(device);
    book(gpu.device, shareOf(elapsed, device.busy_percent), device.memory_bytes);
    const auto gone = [&](const auto& entry) { return !running.contains({entry.first, device.gpu}); };
    std::erase_if(gpu.containers, gone);
    std::erase_if(gpu.guards, gone);
    const std::map<std::string, Together> used = byContainer(device);
    for (const auto& [name, uuid] : running) {
      if (uuid != device.gpu) continue;
      const auto found = used.find(name);
      const Together together = found == used.end() ? Together{} : found->second;
      book(gpu.containers[name], shareOf(elapsed, together.percent), together.memory_bytes);
    }
  }
  for (const GuardReading& reading : guards) {
    const auto gpu = kept.find(reading.gpu);
    if (gpu == kept.end() || !running.contains({reading.container, reading.gpu})) continue;
    book(gpu->second.guards[reading.container], reading);
  }
  gpus_ = std::move(kept);
}

/// Looks of a time before a container began are looks at which it used nothing.
GpuUse GpuAccounts::useOf(const Gpu& gpu, const Account& account) const {
  const std::int64_t elapsed = sum(gpu.elapsed_ns);
  const std::int64_t permille = elapsed == 0 ? 0 : sum(account.recent_ns) * kPermille / elapsed;
  return {account.gpu_ns, permille, account.memory_bytes};
}

std::vector<GpuReport> GpuAccounts::report() const {
  std::vector<GpuReport> reports;
  for (const auto& [uuid, gpu] : gpus_) {
    GpuReport report{uuid, useOf(gpu, gpu.device), {}, {}};
    report.remainder = report.device;
    for (const auto& [name, account] : gpu.containers) {
      ContainerUse container{name, useOf(gpu, account), std::nullopt};
      const auto guard = gpu.guards.find(name);
      if (guard != gpu.guards.end()) container.guard = guard->second.use;
      report.remainder = minus(report.remainder, container.use);
      report.containers.push_back(std::move(container));
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

std::vector<Feedback> GpuAccounts::feedback() const {
  std::vector<Feedback> all;
  for (const auto& [uuid, gpu] : gpus_) {
    for (const auto& [name, guard] : gpu.guards) {
      const auto account = gpu.containers.find(name);
      if (account == gpu.containers.end()) continue;
      const std::uint32_t charge =
          chargePermille(sum(account->second.recent_ns), sum(guard.recent_ns), gpu.active_processes);
      const bool believed = guard.recent_ns.size() >= kLooksForFeedback;
      all.push_back(
          {name, uuid, believed ? charge : static_cast<std::uint32_t>(kPermille), gpu.active_containers});
    }
  }
  return all;
}

}  // namespace berth::sharing
