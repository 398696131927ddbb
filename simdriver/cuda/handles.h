// Tables of the objects a program holds handles to. A handle is a number dressed as a pointer, never an
// address: it is looked up, not dereferenced, and never used twice, so that a stale, foreign or invented
// handle is an error answer.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace berth::sim::cu {

/// Handles of one kind. `tag` keeps kinds apart: a stream handle is not found among the events. Safe from
/// several threads; the objects guard themselves.
template <typename Object>
class HandleTable {
 public:
  explicit HandleTable(std::uintptr_t tag) : next_((tag << 40) | kStep) {}

  std::uintptr_t add(std::shared_ptr<Object> object) {
    const std::lock_guard lock(mutex_);
    const std::uintptr_t handle = next_;
    next_ += kStep;
    objects_.emplace(handle, std::move(object));
    return handle;
  }

  /// The object, or null for anything that is not a live handle of this table.
  std::shared_ptr<Object> find(std::uintptr_t handle) const {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(handle);
    return found == objects_.end() ? nullptr : found->second;
  }

  /// Removes and returns it, or null.
  std::shared_ptr<Object> take(std::uintptr_t handle) {
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(handle);
    if (found == objects_.end()) return nullptr;
    std::shared_ptr<Object> object = std::move(found->second);
    objects_.erase(found);
    return object;
  }

  /// Removes and returns every object that `matches` says yes to.
  template <typename Predicate>
  std::vector<std::shared_ptr<Object>> takeIf(Predicate matches) {
    std::vector<std::shared_ptr<Object>> taken;
    const std::lock_guard lock(mutex_);
    for (auto entry = objects_.begin(); entry != objects_.end();) {
      if (!matches(*entry->second)) {
        ++entry;
        continue;
      }
      taken.push_back(std::move(entry->second));
      entry = objects_.erase(entry);
    }
    return taken;
  }

  /// Every object there is.
  std::vector<std::shared_ptr<Object>> all() const {
    std::vector<std::shared_ptr<Object>> objects;
    const std::lock_guard lock(mutex_);
    for (const auto& [handle, object] : objects_) objects.push_back(object);
    return objects;
  }

 private:
  static constexpr std::uintptr_t kStep = 16;

  mutable std::mutex mutex_;
  std::uintptr_t next_;
  std::unordered_map<std::uintptr_t, std::shared_ptr<Object>> objects_;
};

}  // namespace berth::sim::cu
