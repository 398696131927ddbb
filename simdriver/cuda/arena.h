// Where simulated device memory lives: a sparse memory file of this process, mapped once. An allocation is a
// range of it, so that 15 GB of device memory cost no RAM until they are written, a hundred thousand buffers
// are one mapping, and another process can map a range of the file (CUDA's IPC handles).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "unique_fd.h"

namespace berth::sim::cu {

/// A mapping that is undone with its owner.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* base, std::size_t bytes) noexcept : base_(base), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  std::byte* data() const noexcept { return static_cast<std::byte*>(base_); }
  std::size_t size() const noexcept { return bytes_; }
  /// Lets go of the range without unmapping it.
  void disown() noexcept { base_ = nullptr; }

 private:
  void* base_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Shared mapping of `bytes` of `fd` at `offset` (page-aligned), read and write.
std::optional<Mapping> mapShared(int fd, std::uint64_t offset, std::size_t bytes);
/// An unlinked memory file of `bytes`, close-on-exec, that can neither shrink nor grow: whoever maps it is
/// safe from those it is shared with.
std::optional<UniqueFd> makeMemoryFile(const char* name, std::uint64_t bytes);

/// The size of a memory file of that name that another process made by makeMemoryFile; nothing for any other.
std::optional<std::uint64_t> sizeOfMemoryFile(int fd, const char* name);

/// Names of memory files, which say what they hold.
inline constexpr const char* kArenaFile = "berth-sim-device-memory";
inline constexpr const char* kPhysicalFile = "berth-sim-physical-memory";
inline constexpr const char* kEventFile = "berth-sim-event";

std::size_t roundUp(std::size_t value, std::size_t step);

inline constexpr std::size_t kPageBytes = 4096;
/// What cuMemAlloc aligns to and what an allocation is rounded up to.
inline constexpr std::size_t kDeviceAlignment = 512;

/// Safe from several threads.
class Arena {
 public:
  /// Takes address space for `bytes`, or half as often as the system refuses. Null when there is none.
  static std::unique_ptr<Arena> make(std::size_t bytes = kDefaultBytes);

  /// The first free range that fits, zero-filled on first use only; null when there is none.
  std::byte* allocate(std::size_t bytes, std::size_t alignment = kDeviceAlignment);
  /// Gives back a range that allocate() returned, with the pages it has filled.
  void free(std::byte* address, std::size_t bytes);

  bool contains(const void* address) const noexcept;
  int fd() const noexcept { return file_.get(); }
  std::uint64_t offsetOf(const std::byte* address) const noexcept;

  static constexpr std::size_t kDefaultBytes = std::size_t{1} << 40;
  static constexpr std::size_t kLeastBytes = std::size_t{1} << 32;

 private:
  Arena(UniqueFd file, Mapping map);

  UniqueFd file_;
  Mapping map_;
  std::mutex mutex_;
  std::map<std::size_t, std::size_t> free_;  // Offset to length, neighbours merged
};

}  // namespace berth::sim::cu
