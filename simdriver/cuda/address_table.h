// Every range of addresses CUDA knows in this process: which allocation holds an address, and whether a range
// may be copied to or from. Safe from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "objects.h"

namespace berth::sim::cu {

class AddressTable {
 public:
  /// Adds it and gives it its id. False when it overlaps one that is there.
  bool add(const std::shared_ptr<Allocation>& allocation);
  /// The allocation that begins at `base`, removed from the table, or null; null too when `matches` says no.
  template <typename Predicate>
  std::shared_ptr<Allocation> take(const void* base, Predicate matches) {
    const std::lock_guard lock(mutex_);
    const auto found = by_base_.find(address(base));
    if (found == by_base_.end() || !matches(*found->second)) return nullptr;
    std::shared_ptr<Allocation> taken = std::move(found->second);
    by_base_.erase(found);
    return taken;
  }
  /// The allocation that holds `inside`, or null.
  std::shared_ptr<Allocation> find(const void* inside) const;
  /// True when all of [base, base + bytes) is allocated and accessible, in one or several adjoining ranges.
  bool covers(const void* base, std::size_t bytes) const;
  /// True when some of it is allocated.
  bool touches(const void* base, std::size_t bytes) const;
  std::vector<std::shared_ptr<Allocation>> takeOfContext(const Context* context);

 private:
  static std::uintptr_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }
  using Map = std::map<std::uintptr_t, std::shared_ptr<Allocation>>;
  Map::const_iterator holding(std::uintptr_t inside) const;

  mutable std::mutex mutex_;
  Map by_base_;
  std::uint64_t next_id_ = 1;
};

}  // namespace berth::sim::cu
