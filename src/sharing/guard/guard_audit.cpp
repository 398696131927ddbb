#include "sharing/guard/guard_audit.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace berth::sharing {

bool hasReported(const AuditedProcess& process, const std::vector<guard::ProcessUsage>& reported) {
  if (!process.guard_mapped) return false;
  // The region keeps as many bits of the start time as fit.
  const guard::SlotOwner self =
      guard::SlotOwner::of(guard::SlotOwner{static_cast<std::uint32_t>(process.inner.pid),
                                            static_cast<std::uint64_t>(process.id.start_ticks), false}
                               .word());
  return std::ranges::any_of(reported, [&](const guard::ProcessUsage& slot) {
    const bool same_namespace = slot.pid_namespace == 0 || slot.pid_namespace == process.inner.pid_namespace;
    return slot.owner.pid == self.pid && slot.owner.start_ticks == self.start_ticks && same_namespace;
  });
}

std::vector<Unreported> GuardAudit::look(const std::vector<AuditedContainer>& containers, Time now) {
  std::vector<Unreported> found;
  std::map<os::ProcessId, Waiting> still;
  for (const AuditedContainer& container : containers) {
    for (const AuditedProcess& process : container.processes) {
      if (hasReported(process, container.reported)) continue;
      const auto known = waiting_.find(process.id);
      Waiting waiting = known == waiting_.end() ? Waiting{now} : known->second;
      if (!waiting.told && now - waiting.since >= grace_) {
        found.push_back({container.name, process});
        waiting.told = true;
      }
      still.insert_or_assign(process.id, waiting);
    }
  }
  waiting_ = std::move(still);
  return found;
}

}  // namespace berth::sharing
