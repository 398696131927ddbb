// The one desk: everything that changes what the ledger remembers goes through here, one change at a time.
//
// A change works on a copy of the book. What it changed is committed to the ledger in one transaction, and
// only then becomes what everyone sees; a failed commit leaves the book as it was. Deciding (the arbiter)
// happens inside a change, so no two decisions see the same free GPU. Nothing blocks in a change but the
// commit itself.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "arbiter/arbiter.h"
#include "arbiter/occupancy.h"
#include "base/clock.h"
#include "base/error.h"
#include "ledger/ledger.h"
#include "ledger/state.h"
#include "service/operation.h"
#include "service/supervisor.h"
#include "service/vm_record.h"

namespace berth::service {

struct Reservation {
  int gpus = 0;
  WallTime created{};
  bool operator==(const Reservation&) const = default;
};

/// Everything the daemon remembers, but for the history of events and operations.
struct Book {
  ledger::State state;
  arbiter::Occupancy occupancy;  // The index of `state`; a Draft changes both together.
  std::map<std::string, std::shared_ptr<const WorkloadRecord>> workloads;
  std::map<std::string, Reservation> reservations;
  std::map<GpuUuid, std::string> awaits_reset;  // Only a reset cures it; the id of the boot it was seen in.
  std::map<std::string, std::shared_ptr<const VmRecord>> vms;
  std::map<std::string, std::shared_ptr<const ImageRecord>> images;
  std::string sizes;  // VM sizes that differ from the installed catalogue (vm::SizeCatalog::storedText).
  std::map<std::string, std::shared_ptr<const Operation>>
      operations;  // Unfinished, and the newest finished ones.
  std::int64_t next_operation = 1;
};

/// Something that happened, for the history.
struct Event {
  std::int64_t seq = 0;  // Given by the ledger.
  WallTime time{};
  std::string kind;     // "gpu.owner", "workload.started"
  std::string subject;  // "GPU 0", "cuda-sample1"
  std::string message;
};

/// A copy of the book that a change works on.
class Draft {
 public:
  Draft(const Book& from, WallTime time);

  /// Decides over the draft's state and applies the plan to it, with an event for each change.
  Result<arbiter::Plan> decide(const arbiter::Request& request, const arbiter::Policy& policy);
  /// A GPU that is new, or what is known of one now. In index order.
  void putGpu(const ledger::Gpu& gpu);
  /// The workload, to be changed; nullptr when there is none.
  WorkloadRecord* workload(const std::string& name);
  void putWorkload(WorkloadRecord record);
  VmRecord* vm(const std::string& name);
  void putVm(VmRecord record);
  ImageRecord* image(const std::string& name);
  void putImage(ImageRecord record);
  /// Opens an operation and returns its id.
  std::string openOperation(Operation operation);
  Operation* operation(const std::string& id);
  void event(std::string kind, std::string subject, std::string message);

  Book book;
  const WallTime now;
  std::vector<Event> events;
};

class Desk {
 public:
  /// Reads the book from the ledger.
  static Result<std::unique_ptr<Desk>> open(ledger::Ledger& ledger, const Clock& clock,
                                            arbiter::Policy policy);

  /// A consistent copy. Cheap enough for every request; never waits for a commit in progress longer than it
  /// takes.
  std::shared_ptr<const Book> book() const;
  const arbiter::Policy& policy() const { return policy_; }
  const Clock& clock() const { return clock_; }

  /// Runs fn(draft) -> Result<T>, commits what it changed and publishes it. Any failure changes nothing. May
  /// block for a disk sync. fn does no I/O and does not call the desk.
  template <typename Fn>
  auto change(Fn&& fn) -> std::invoke_result_t<Fn, Draft&> {
    const std::scoped_lock lock(writing_);
    Draft draft(*book(), clock_.wallTime());
    auto result = fn(draft);
    if (!result) return result;
    if (Result<void> stored = commit(std::move(draft)); !stored) return fail(std::move(stored).error());
    return result;
  }

  /// The same, and then throws the draft away: what would happen (B17).
  template <typename Fn>
  auto rehearse(Fn&& fn) const -> std::invoke_result_t<Fn, Draft&> {
    Draft draft(*book(), clock_.wallTime());
    return fn(draft);
  }

  /// Blocks until `done(book)` or the deadline or a stop; true when done. Asked again after each change and
  /// nudge.
  bool waitUntil(const std::function<bool(const Book&)>& done, std::chrono::steady_clock::time_point deadline,
                 const std::stop_token& stop) const;
  /// Wakes waiters for something that is not in the book (an MPS daemon's state).
  void nudge() const;

  /// Called after each commit, on the committing thread, with the old and the new book. Set once, before use.
  void onCommit(std::function<void(const Book&, const Book&)> listener) { listener_ = std::move(listener); }

  Result<std::vector<Event>> events(std::int64_t since, int limit) const;

  /// A text beside the book that few need, such as the journal of a GPU's move; nullopt: there is none.
  Result<std::optional<std::string>> note(std::string_view key) const;
  /// On disk before it returns. An empty text removes the note.
  Result<void> putNote(std::string_view key, std::string_view text);

 private:
  Desk(ledger::Ledger& ledger, const Clock& clock, arbiter::Policy policy)
      : ledger_(ledger), clock_(clock), policy_(policy) {}
  Result<void> commit(Draft draft);
  Result<void> store(const Book& before, const Draft& draft);

  ledger::Ledger& ledger_;
  const Clock& clock_;
  const arbiter::Policy policy_;
  std::function<void(const Book&, const Book&)> listener_;
  mutable std::mutex ledger_mutex_;  // The ledger serves one thread at a time.
  std::mutex writing_;               // Held over deciding and committing: the desk has one clerk.
  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  mutable std::uint64_t nudges_ = 0;
  std::shared_ptr<const Book> book_;
};

}  // namespace berth::service
