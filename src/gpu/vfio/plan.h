// How GPUs get from the host's drivers to vfio-pci: the whole of their IOMMU groups, as a list of steps each
// of which says how it is taken back. Pure.
#pragma once

#include <set>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "gpu/vfio/group.h"
#include "gpu/vfio/step.h"
#include "gpu/vfio/survey.h"

namespace berth::vfio {

struct TakeRequest {
  std::vector<PciAddress> gpus;       // For one VM.
  std::vector<gpu::PciId> also_gpus;  // Ids that count as GPUs besides NVIDIA's display controllers.
  std::set<PciAddress> persistent;    // Those whose persistence mode is on.
};

struct TakePlan {
  std::vector<Group> groups;       // For the user: what is in them and what becomes of it.
  std::vector<PciAddress> moving;  // GPUs and companions, by address.
  std::vector<Step> steps;         // In order; undone last first.
};

/// Steps are only those that change something, so the plan for GPUs that are with vfio-pci already has no
/// step that binds. Refused: kIommuOff, kDeviceNotFound, kVfioMissing, or kGroupNotViable with a detail for
/// every member of the groups that are not viable.
Result<TakePlan> planTake(const Survey& survey, const TakeRequest& request);

}  // namespace berth::vfio
