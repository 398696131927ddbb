// What this process has been charged for: a hash table from a handle of the driver to its size, in memory of
// its own. Finding one takes the same time with ten entries or a hundred thousand. No locks; allocates with
// mmap alone, when it grows. Safe from several threads, as long as no handle is added twice at once: the
// driver gives a handle to one caller.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace berth::guard {

/// Kinds of handles; the same number may mean something in each.
enum class BufferKind : std::uint8_t {
  Memory = 1,
  Array,
  Mipmap,
  Physical,  // cuMemCreate
  Mapping,   // cuMemMap: `link` is the physical memory
  External,
  Imported,  // Opened from an IPC handle: `link` counts the opens
  Context,
};

struct Buffer {
  std::uint64_t granules = 0;  // 40 bits
  std::uint32_t gpu = 0;
  std::uint64_t context = 0;  // That it dies with; 0: none
  std::uint64_t link = 0;     // Physical: references. Mapping: the physical memory. Pool memory: the pool
};

class BufferTable {
 public:
  /// False when there is no memory for the table to grow.
  bool add(BufferKind kind, std::uint64_t handle, const Buffer& buffer) noexcept;
  /// Removes it; false when there is none. Of two callers at once one gets it.
  bool take(BufferKind kind, std::uint64_t handle, Buffer& buffer) noexcept;
  /// Looks without removing.
  bool find(BufferKind kind, std::uint64_t handle, Buffer& buffer) const noexcept;
  /// Adds to `link` and returns the sum; 0 when there is no such entry.
  std::uint64_t addToLink(BufferKind kind, std::uint64_t handle, std::int64_t delta) noexcept;
  /// Calls removed(buffer) for each entry of `context`, which is gone. Reads the whole table.
  template <typename Fn>
  void takeOfContext(std::uint64_t context, Fn removed) noexcept {
    for (std::size_t level = 0; level < kLevels; ++level) {
      Bucket* buckets = levels_[level].load(std::memory_order_acquire);
      if (buckets == nullptr) return;
      for (std::size_t i = 0; i < bucketsOf(level); ++i) {
        for (Entry& entry : buckets[i].entries) {
          if (entry.context.load(std::memory_order_relaxed) != context) continue;
          Buffer buffer;
          if (takeEntry(entry, entry.key.load(), buffer)) removed(buffer);
        }
      }
    }
  }

 private:
  struct Entry {
    std::atomic<std::uint64_t> key;   // 0: free; else handle and kind
    std::atomic<std::uint64_t> size;  // Granules and GPU
    std::atomic<std::uint64_t> context;
    std::atomic<std::uint64_t> link;
  };
  // Two cache lines. Entries never move, so that a reader needs no protection from a writer.
  struct alignas(64) Bucket {
    std::array<Entry, 4> entries;
  };
  // Level n has 2^n times the buckets of the first; a full bucket sends an entry to the next level.
  static constexpr std::size_t kFirstBuckets = 1024;
  static constexpr std::size_t kLevels = 16;
  static constexpr std::size_t bucketsOf(std::size_t level) noexcept { return kFirstBuckets << level; }

  static bool takeEntry(Entry& entry, std::uint64_t key, Buffer& buffer) noexcept;
  static bool fill(Entry& entry, std::uint64_t key, const Buffer& buffer) noexcept;
  static Buffer read(const Entry& entry) noexcept;
  Entry* lookUp(std::uint64_t key) const noexcept;
  bool addAt(Bucket* buckets, std::size_t level, std::uint64_t key, const Buffer& buffer) noexcept;
  Bucket* grow(std::size_t level) noexcept;

  std::array<std::atomic<Bucket*>, kLevels> levels_{};
  std::atomic<std::size_t> level_count_{0};
};

}  // namespace berth::guard
