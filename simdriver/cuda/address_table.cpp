#include "address_table.h"

#include <iterator>

namespace berth::sim::cu {

AddressTable::Map::const_iterator AddressTable::holding(std::uintptr_t inside) const {
  auto next = by_base_.upper_bound(inside);
  if (next == by_base_.begin()) return by_base_.end();
  const auto candidate = std::prev(next);
  return inside - candidate->first < candidate->second->bytes ? candidate : by_base_.end();
}

bool AddressTable::add(const std::shared_ptr<Allocation>& allocation) {
  const std::lock_guard lock(mutex_);
  const std::uintptr_t base = address(allocation->base);
  if (holding(base) != by_base_.end()) return false;
  const auto next = by_base_.lower_bound(base);
  if (next != by_base_.end() && next->first - base < allocation->bytes) return false;
  allocation->id = next_id_++;
  by_base_.emplace(base, allocation);
  return true;
}

std::shared_ptr<Allocation> AddressTable::find(const void* inside) const {
  const std::lock_guard lock(mutex_);
  const auto found = holding(address(inside));
  return found == by_base_.end() ? nullptr : found->second;
}

bool AddressTable::covers(const void* base, std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  std::uintptr_t at = address(base);
  if (bytes > UINTPTR_MAX - at) return false;
  const std::uintptr_t end = at + bytes;
  while (at < end) {
    const auto found = holding(at);
    if (found == by_base_.end() || !found->second->accessible) return false;
    at = found->first + found->second->bytes;
  }
  return true;
}

bool AddressTable::touches(const void* base, std::size_t bytes) const {
  const std::lock_guard lock(mutex_);
  const std::uintptr_t begin = address(base);
  if (holding(begin) != by_base_.end()) return true;
  const auto next = by_base_.lower_bound(begin);
  return next != by_base_.end() && next->first - begin < bytes;
}

std::vector<std::shared_ptr<Allocation>> AddressTable::takeOfContext(const Context* context) {
  std::vector<std::shared_ptr<Allocation>> taken;
  const std::lock_guard lock(mutex_);
  for (auto entry = by_base_.begin(); entry != by_base_.end();) {
    if (entry->second->context.lock().get() != context) {
      ++entry;
      continue;
    }
    taken.push_back(std::move(entry->second));
    entry = by_base_.erase(entry);
  }
  return taken;
}

}  // namespace berth::sim::cu
