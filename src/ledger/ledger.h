// The durable record of owners, berths, workloads, operations, moves and events: one SQLite file,
// `ledger.db`, in the state directory (docs/formats/ledger.md has the tables and the recovery rules).
//
// What is committed is on disk (WAL, synchronous=FULL) before commit() returns. A write or sync that failed
// closes the ledger to further writes, because what the disk holds is no longer known; reads go on. A torn
// tail of the log is a crash and is cut off by SQLite; any other damage stops open() with a message that
// names `berthd --repair`. Nothing is guessed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "ledger/failpoint.h"
#include "ledger/records.h"
#include "ledger/state.h"

namespace berth::ledger {

/// The setting with the number of events to keep.
inline constexpr std::string_view kEventsToKeep = "events.keep";
inline constexpr std::int64_t kDefaultEventsToKeep = 100'000;

/// Finished operations that are remembered.
inline constexpr std::int64_t kOperationsKept = 1'000;

struct OpenOptions {
  FailPoint* fail_point = nullptr;  // Not owned; outlives the ledger.
  std::string vfs;                  // SQLite VFS to use; tests break disks with it. Empty: the default one.
};

/// What repair() could not keep.
struct RepairReport {
  std::string damaged_copy;           // Where the damaged file lies now.
  std::vector<std::string> findings;  // One line each: rows kept and lost by table, GPUs put in quarantine.
  bool complete = true;               // Nothing was lost.
};

class Transaction;

/// One process has a state directory at a time. Not safe from several threads at once; calls block on the
/// disk. Every read may fail with Corrupt or Io.
class Ledger {
 public:
  /// Opens or makes the ledger in the directory, which must exist. Conflict: another process has it (its pid
  /// is named), or a newer Berth wrote it (both versions are named). Corrupt: damaged, not a ledger, or its
  /// State breaks A1; nothing was changed. Io: the disk.
  static Result<std::unique_ptr<Ledger>> open(const std::string& dir, const OpenOptions& options = {});

  /// Moves a damaged ledger aside, keeps in a new one whatever can still be read, and puts GPUs whose berths
  /// no longer fit into quarantine. NotFound: there is none. Conflict: a daemon has it, or a newer Berth
  /// wrote it.
  static Result<RepairReport> repair(const std::string& dir);

  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  Result<State> loadState();
  Result<std::vector<Reservation>> reservations();
  /// Oldest first.
  Result<std::vector<WorkloadRecord>> workloads();
  /// By name, of all workloads.
  Result<std::vector<ContainerRecord>> containers();
  /// By name.
  Result<std::vector<VmRecord>> vms();
  Result<std::vector<ImageRecord>> images();
  /// The last `limit`, newest first.
  Result<std::vector<OperationRecord>> operations(int limit);
  /// Those without an end, oldest first: what a start after a crash has to finish or undo.
  Result<std::vector<OperationRecord>> unfinishedOperations();
  /// The steps of one operation's move, in order.
  Result<std::vector<JournalStep>> journal(std::int64_t operation);
  /// Up to `limit` events after `seq`, oldest first.
  Result<std::vector<Event>> events(std::int64_t after_seq, int limit);
  /// The number of the newest event, 0 when there has been none.
  Result<std::int64_t> lastEvent();
  Result<std::optional<std::string>> setting(std::string_view key);

  /// Starts a write; `name` is for failpoints and messages and must outlive it. One at a time: Internal while
  /// another is open. Unavailable once a write has failed.
  Result<Transaction> begin(std::string_view name);

  /// Why the ledger is closed to writes, if it is.
  const std::optional<Error>& closedBy() const;

 private:
  friend class Transaction;
  struct Impl;
  explicit Ledger(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Changes that become durable together, or not at all when it is destroyed without commit(). The first
/// failure is kept: later calls and commit() return it. Outlived by its Ledger.
class Transaction {
 public:
  Transaction(Transaction&& other) noexcept;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  /// Writes what differs. Precondition: `before` is what the ledger has.
  Result<void> saveState(const State& before, const State& after);
  Result<void> putReservation(const Reservation& reservation);
  Result<void> deleteReservation(std::string_view name);
  Result<void> putWorkload(const WorkloadRecord& workload);
  /// With its containers' records.
  Result<void> deleteWorkload(const WorkloadName& name);
  /// Conflict: no such workload.
  Result<void> putContainer(const ContainerRecord& container);
  Result<void> deleteContainer(std::string_view name);
  /// Conflict: another VM has the UUID.
  Result<void> putVm(const VmRecord& vm);
  Result<void> deleteVm(const std::string& name);
  Result<void> putImage(const ImageRecord& image);
  Result<void> deleteImage(const std::string& name);
  /// Adds or rewrites the operation of that id. The oldest finished ones go when there are more than
  /// kOperationsKept.
  Result<void> putOperation(const OperationRecord& operation);
  Result<void> putStep(const JournalStep& step);
  Result<void> setStepState(std::int64_t operation, int seq, StepState state);
  /// Returns its number. The oldest go when there are more than the setting kEventsToKeep allows.
  Result<std::int64_t> appendEvent(const Event& event);
  Result<void> putSetting(std::string_view key, std::string_view value);
  Result<void> deleteSetting(std::string_view key);

  /// Success: it is on disk. After a failure nothing of it is, unless the disk failed while saying so.
  Result<void> commit();

 private:
  friend class Ledger;
  Transaction(Ledger::Impl& ledger, std::string_view name);
  Ledger::Impl* ledger_;  // nullptr: over, or moved from.
  std::string_view name_;
};

}  // namespace berth::ledger
