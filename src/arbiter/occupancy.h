// What is on each GPU, summed up, so that a decision need not walk every berth: with 16,000 berths the walk
// alone takes longer than the whole decision may (design 12).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {

struct Plan;

/// The berths of one GPU, summed.
struct GpuUse {
  int berths = 0;
  int wholes = 0;           // Berths that are the whole GPU: 0 or 1 in a State without violation().
  int compute = 0;          // Percent, counted shares only.
  std::int64_t memory = 0;  // MiB, counted shares only.
  bool operator==(const GpuUse&) const = default;
};

struct HolderHash {
  std::size_t operator()(const ledger::Holder& holder) const noexcept;
};

/// An index over one State, kept beside it by whoever decides often on a big device. One thread at a time,
/// but copies may be used by different threads: a copy shares what it can, so that it costs far less than a
/// new one.
class Occupancy {
 public:
  /// Of a State without GPUs.
  Occupancy() = default;
  /// One pass over `state`.
  explicit Occupancy(const ledger::State& state);

  /// Follows ledger state through `plan`, as arbiter::apply does. Build a new one when GPUs come or go.
  void apply(const Plan& plan);

  /// One per GPU, in the order of State::gpus.
  const std::vector<GpuUse>& uses() const { return uses_; }
  /// Position in State::gpus, or -1.
  int position(const GpuUuid& gpu) const;
  /// The ids of that holder's berths, ascending; nullptr: none.
  const std::vector<std::int64_t>* berthsOf(const ledger::Holder& holder) const;

  /// Whether both say the same of the same GPUs.
  bool operator==(const Occupancy& other) const;

 private:
  using Positions = std::unordered_map<GpuUuid, int>;
  using Holders = std::unordered_map<ledger::Holder, std::vector<std::int64_t>, HolderHash>;

  void add(const ledger::Berth& berth);
  void remove(const ledger::Berth& berth);
  std::vector<std::int64_t>& idsOf(const ledger::Holder& holder);
  Holders allHolders() const;

  std::vector<GpuUse> uses_;
  std::shared_ptr<const Positions> positions_ = std::make_shared<const Positions>();
  // What copies share, and what became of some holders since; with no ids: they hold nothing any more.
  std::shared_ptr<const Holders> holders_ = std::make_shared<const Holders>();
  Holders changed_;
};

/// Just the sums, in one pass.
std::vector<GpuUse> countUses(const ledger::State& state);

/// Puts one berth on, or takes it off again.
void addTo(GpuUse& use, const ledger::Berth& berth);
void takeFrom(GpuUse& use, const ledger::Berth& berth);

}  // namespace berth::arbiter
