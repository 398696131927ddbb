#include "service/process_owner.h"

#include <algorithm>

namespace berth::service {

std::string containerOfProcess(const Book& book, const os::Procfs& procfs, std::int64_t pid) {
  const auto groups = procfs.cgroup(pid);
  if (!groups) return {};
  for (const auto& [name, workload] : book.workloads) {
    for (const ContainerRecord& c : workload->containers) {
      if (c.engine_id.value.empty()) continue;
      const auto names_it = [&c](const os::CgroupEntry& group) {
        return group.path.find(c.engine_id.value) != std::string::npos;
      };
      if (std::ranges::any_of(*groups, names_it)) return c.name;
    }
  }
  return {};
}

}  // namespace berth::service
