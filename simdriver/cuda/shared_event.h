// The part of an event that several processes see: a page of a memory file that counts records and those that
// are done. Whoever recorded it counts it done when its device time has come.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "arena.h"
#include "cuda_abi.h"

namespace berth::sim::cu {

/// Safe from several threads and processes; what another process writes into the page can make waits end too
/// early or too late, and nothing else.
class SharedEvent {
 public:
  /// A new one, or null when the system gives no memory.
  static std::shared_ptr<SharedEvent> make();
  /// The one that another process made, by a descriptor of its file; null when it is none.
  static std::shared_ptr<SharedEvent> open(UniqueFd file);

  /// Counts a record and returns its number.
  std::uint64_t record();
  /// Counts it and all before as done, and wakes those who wait.
  void complete(std::uint64_t number);
  /// True when everything recorded so far is done.
  bool done() const;
  /// Blocks until what is recorded now is done. CUDA_ERROR_LAUNCH_FAILED when the process that recorded it
  /// is gone.
  CUresult wait() const;

  int fd() const noexcept { return file_.get(); }

 private:
  struct Page {
    std::atomic<std::uint64_t> recorded;
    std::atomic<std::uint64_t> completed;
    std::atomic<std::int32_t> recorder;  // Process that recorded last
    std::atomic<std::uint32_t> wake;     // Futex
  };
  SharedEvent(UniqueFd file, Mapping mapping) noexcept
      : file_(std::move(file)), mapping_(std::move(mapping)) {}
  Page& page() const { return *reinterpret_cast<Page*>(mapping_.data()); }

  UniqueFd file_;
  Mapping mapping_;
};

}  // namespace berth::sim::cu
