#include "guard/buffer_table.h"

#include <sys/mman.h>

namespace berth::guard {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr std::uint64_t kBusy = ~std::uint64_t{0};  // An entry between free and filled
constexpr unsigned kGpuBits = 8;

/// Handles are addresses or small numbers: 60 bits are enough.
std::uint64_t keyOf(BufferKind kind, std::uint64_t handle) noexcept {
  return (handle << 4U) | static_cast<std::uint64_t>(kind);
}

std::uint64_t mix(std::uint64_t key) noexcept {
  key *= 0x9e3779b97f4a7c15;  // 2^64 / golden ratio
  return key ^ (key >> 32U);
}

}  // namespace

Buffer BufferTable::read(const Entry& entry) noexcept {
  const std::uint64_t size = entry.size.load(kRelaxed);
  return {size >> kGpuBits, static_cast<std::uint32_t>(size & ((1U << kGpuBits) - 1)),
          entry.context.load(kRelaxed), entry.link.load(kRelaxed)};
}

BufferTable::Entry* BufferTable::lookUp(std::uint64_t key) const noexcept {
  const std::uint64_t hash = mix(key);
  // The largest level first: most entries are there.
  for (std::size_t level = level_count_.load(kAcquire); level-- > 0;) {
    Bucket* buckets = levels_[level].load(kAcquire);
    for (Entry& entry : buckets[hash & (bucketsOf(level) - 1)].entries) {
      if (entry.key.load(kAcquire) == key) return &entry;
    }
  }
  return nullptr;
}

bool BufferTable::fill(Entry& entry, std::uint64_t key, const Buffer& buffer) noexcept {
  std::uint64_t free = 0;
  if (entry.key.load(kRelaxed) != 0 || !entry.key.compare_exchange_strong(free, kBusy, kAcquire))
    return false;
  entry.size.store((buffer.granules << kGpuBits) | buffer.gpu, kRelaxed);
  entry.context.store(buffer.context, kRelaxed);
  entry.link.store(buffer.link, kRelaxed);
  entry.key.store(key, std::memory_order_release);
  return true;
}

bool BufferTable::addAt(Bucket* buckets, std::size_t level, std::uint64_t key,
                        const Buffer& buffer) noexcept {
  for (Entry& entry : buckets[mix(key) & (bucketsOf(level) - 1)].entries) {
    if (fill(entry, key, buffer)) return true;
  }
  return false;
}

BufferTable::Bucket* BufferTable::grow(std::size_t level) noexcept {
  const std::size_t bytes = bucketsOf(level) * sizeof(Bucket);
  void* fresh = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fresh == MAP_FAILED) return nullptr;
  Bucket* none = nullptr;
  if (!levels_[level].compare_exchange_strong(none, static_cast<Bucket*>(fresh))) {
    ::munmap(fresh, bytes);  // Another thread was first
  }
  std::size_t count = level;
  level_count_.compare_exchange_strong(count, level + 1);
  return levels_[level].load();
}

bool BufferTable::add(BufferKind kind, std::uint64_t handle, const Buffer& buffer) noexcept {
  const std::uint64_t key = keyOf(kind, handle);
  const std::size_t count = level_count_.load(kAcquire);
  for (std::size_t level = count; level-- > 0;) {
    if (addAt(levels_[level].load(kAcquire), level, key, buffer)) return true;
  }
  for (std::size_t level = count; level < kLevels; ++level) {
    Bucket* buckets = grow(level);
    if (buckets == nullptr) return false;
    if (addAt(buckets, level, key, buffer)) return true;
  }
  return false;
}

bool BufferTable::takeEntry(Entry& entry, std::uint64_t key, Buffer& buffer) noexcept {
  if (key == 0 || key == kBusy) return false;
  const Buffer held = read(entry);
  if (!entry.key.compare_exchange_strong(key, kBusy)) return false;
  entry.context.store(0, kRelaxed);
  entry.key.store(0, std::memory_order_release);
  buffer = held;
  return true;
}

bool BufferTable::take(BufferKind kind, std::uint64_t handle, Buffer& buffer) noexcept {
  const std::uint64_t key = keyOf(kind, handle);
  Entry* entry = lookUp(key);
  return entry != nullptr && takeEntry(*entry, key, buffer);
}

bool BufferTable::find(BufferKind kind, std::uint64_t handle, Buffer& buffer) const noexcept {
  const Entry* entry = lookUp(keyOf(kind, handle));
  if (entry == nullptr) return false;
  buffer = read(*entry);
  return true;
}

std::uint64_t BufferTable::addToLink(BufferKind kind, std::uint64_t handle, std::int64_t delta) noexcept {
  Entry* entry = lookUp(keyOf(kind, handle));
  if (entry == nullptr) return 0;
  return entry->link.fetch_add(static_cast<std::uint64_t>(delta)) + static_cast<std::uint64_t>(delta);
}

}  // namespace berth::guard
