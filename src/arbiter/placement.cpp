#include "arbiter/placement.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "arbiter/occupancy.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

constexpr std::int64_t kWholePopularity = 56;

struct TypicalShare {
  std::int64_t permille;
  std::int64_t popularity;
};
constexpr std::array<TypicalShare, 4> kTypicalShares{{{810, 11}, {650, 11}, {470, 11}, {320, 11}}};

struct Room {
  std::int64_t compute;  // Permille free.
  std::int64_t memory;   // Permille free.
};

Room roomOn(const GpuUse& use, MiB memory) {
  if (use.wholes > 0) return Room{0, 0};
  const std::int64_t compute = std::int64_t{10} * (100 - use.compute);
  if (memory.value <= 0) return Room{compute, 1000};
  return Room{compute, 1000 * (memory.value - use.memory) / memory.value};
}

int ownerRank(ledger::OwnerKind kind) {
  if (kind == ledger::OwnerKind::Kubernetes) return 0;
  return kind == ledger::OwnerKind::Local ? 1 : 2;
}

}  // namespace

std::int64_t expectedFragment(const GpuUse& use, MiB memory) {
  const Room room = roomOn(use, memory);
  std::int64_t misfits = use.berths > 0 ? kWholePopularity : 0;
  for (const TypicalShare& share : kTypicalShares) {
    if (room.compute < share.permille || room.memory < share.permille) misfits += share.popularity;
  }
  return misfits * (room.compute + room.memory);
}

Rank rankFor(const ledger::Gpu& gpu, const GpuUse& use, Percent compute, MiB memory, bool unenforced) {
  GpuUse after = use;
  ++after.berths;
  after.compute += compute.value;
  after.memory += memory.value;
  const Room left = roomOn(after, gpu.memory);
  return Rank{unenforced, expectedFragment(after, gpu.memory) - expectedFragment(use, gpu.memory),
              ownerRank(gpu.owner.kind), left.compute + left.memory, gpu.index};
}

std::optional<std::vector<std::size_t>> chooseWhole(const std::vector<ledger::Gpu>& gpus,
                                                    std::vector<std::size_t> candidates, std::size_t count) {
  if (candidates.size() < count) return std::nullopt;
  const auto ofKubernetes = [&gpus](std::size_t at) {
    return gpus[at].owner.kind == ledger::OwnerKind::Kubernetes;
  };
  std::ranges::sort(candidates, {}, [&gpus, &ofKubernetes](std::size_t at) {
    return std::tuple(!ofKubernetes(at), gpus[at].mode != ledger::Mode::Exclusive, gpus[at].index);
  });
  const auto others = std::ranges::find_if_not(candidates, ofKubernetes);
  const auto kubernetes = static_cast<std::size_t>(others - candidates.begin());
  const bool only_others_suffice = kubernetes < count && candidates.size() - kubernetes >= count;
  const auto first = only_others_suffice ? others : candidates.begin();
  return std::vector<std::size_t>(first, first + static_cast<std::ptrdiff_t>(count));
}

}  // namespace berth::arbiter
