// Which of several possible GPUs a share goes to: the one where least room is newly spoilt (FGD).
//
// The measure. A GPU's idle room is its free compute (permille) plus its free memory (permille). A typical
// claim finds room on it when both free numbers cover what it wants; the whole-GPU claim finds room only on a
// GPU without berths. The expected fragment of a GPU is the sum over the typical claims of their popularity
// times the idle room they cannot use, so it is 0 on an empty and on a full GPU. A share goes where the
// expected fragment grows least; ties go to the owner whose GPUs VMs cannot have anyway (kubernetes, then
// local, then free), then to the GPU with least room left, then to the lowest index. Typical claims and their
// popularity are those of the published trace (openb: 56 % whole GPUs, else most often 810, 650, 470 and 320
// permille). Integers throughout, so that equal means equal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "arbiter/occupancy.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {

/// Expected fragment of a GPU of `memory` with these berths, in percent-popularity times permille of room.
std::int64_t expectedFragment(const GpuUse& use, MiB memory);

/// How good a GPU is for a share; less is better, in this order.
struct Rank {
  bool unenforced = false;  // B15: GPUs that can enforce the limit come first.
  std::int64_t new_fragment = 0;
  int owner = 0;
  std::int64_t room_left = 0;
  int index = 0;
  auto operator<=>(const Rank&) const = default;
};

/// The rank of `gpu`, used as `use` says, for a share of `compute` and `memory`.
Rank rankFor(const ledger::Gpu& gpu, const GpuUse& use, Percent compute, MiB memory, bool unenforced);

/// The `count` GPUs for whole berths out of `candidates` (positions in `gpus`), all of one owner where one
/// has enough: kubernetes before the others; within an owner those in mode exclusive first, which nothing
/// else can use. nullopt: there are fewer.
std::optional<std::vector<std::size_t>> chooseWhole(const std::vector<ledger::Gpu>& gpus,
                                                    std::vector<std::size_t> candidates, std::size_t count);

}  // namespace berth::arbiter
