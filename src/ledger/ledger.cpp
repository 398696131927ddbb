#include "ledger/ledger.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arbiter/arbiter.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/failpoint.h"
#include "ledger/ledger_impl.h"
#include "ledger/lock_file.h"
#include "ledger/records.h"
#include "ledger/rows.h"
#include "ledger/schema.h"
#include "ledger/sqlite.h"
#include "ledger/state.h"

namespace berth::ledger {
namespace {

constexpr std::string_view kOperationColumns =
    "id, kind, subject, targets, state, percent, message, error, warnings, result, created, finished";
constexpr std::string_view kContainerColumns =
    "name, workload, pod, spec, phase, engine_id, attempt, restarts, exit_code, counted, not_before, "
    "started, "
    "finished, mode, mps_generation, message";
constexpr std::string_view kVmColumns =
    "name, uuid, spec, desired, power, provisioning, policy, restarts_wanted, restarts_done, attempts, "
    "deadline, "
    "boot_id, addresses, message, error, created";
constexpr std::string_view kImageColumns =
    "name, source, spec, desired, state, percent, virtual_bytes, sha256, error, created";
constexpr std::string_view kWorkloadColumns =
    "name, kind, namespace, source, spec, desired, outcome, succeeded, failed, message, created";

std::string select(std::string_view columns, std::string_view rest) {
  return "SELECT " + std::string(columns) + " FROM " + std::string(rest);
}

/// Settings of the connection. Exclusive locking keeps the log's index in memory: no shared file to be
/// damaged.
constexpr std::string_view kSetUp =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
    "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY;";

Result<void> checkPages(Database& database) {
  TRY(const std::string verdict, database.text("PRAGMA quick_check(1)"));
  if (verdict == "ok") return {};
  return fail(ErrorCode::Corrupt, verdict);
}

Result<void> checkContent(Database& database) {
  TRY(const std::int64_t orphans, database.integer("SELECT count(*) FROM pragma_foreign_key_check"));
  if (orphans > 0) return fail(ErrorCode::Corrupt, std::to_string(orphans) + " rows refer to missing ones");
  TRY(const State state, readState(database));
  if (std::string found = arbiter::violation(state); !found.empty()) {
    return fail(ErrorCode::Corrupt, std::move(found));
  }
  return {};
}

Result<void> setUp(Database& database) {
  TRY_VOID(database.run(std::string(kSetUp)));
  TRY_VOID(migrate(database));
  TRY_VOID(checkPages(database));
  TRY_VOID(checkSchema(database));
  return checkContent(database);
}

/// A damaged ledger always names the way out.
Error withRemedy(Error error, const std::string& path) {
  if (error.code == ErrorCode::Internal) error.code = ErrorCode::Corrupt;  // SQL of ours that does not fit.
  error.message.insert(0, path + ": ");
  if (error.code == ErrorCode::Corrupt) {
    error.message += "; the ledger is damaged: run berthd --repair to keep what can be read";
  }
  return error;
}

WorkloadRecord workloadFrom(RowReader& row) {
  WorkloadRecord workload;
  workload.name = WorkloadName{row.text()};
  workload.kind = row.text();
  workload.name_space = row.text();
  workload.source = row.text();
  workload.spec = row.text();
  workload.desired = row.text();
  workload.outcome = row.text();
  workload.succeeded = row.number();
  workload.failed = row.number();
  workload.message = row.text();
  workload.created = row.integer();
  return workload;
}

ContainerRecord containerFrom(RowReader& row) {
  ContainerRecord container;
  container.name = row.text();
  container.workload = WorkloadName{row.text()};
  container.pod = row.number();
  container.spec = row.number();
  container.phase = row.text();
  container.engine_id = ContainerId{row.text()};
  container.attempt = row.integer();
  container.restarts = row.number();
  if (row.isNull()) {
    row.skip();
  } else {
    container.exit_code = row.number();
  }
  container.counted = row.flag();
  container.not_before = row.integer();
  container.started = row.integer();
  container.finished = row.integer();
  container.mode = row.text();
  container.mps_generation = row.integer();
  container.message = row.text();
  return container;
}

VmRecord vmFrom(RowReader& row) {
  VmRecord vm;
  vm.name = row.text();
  vm.uuid = row.text();
  vm.spec = row.text();
  vm.desired = row.text();
  vm.power = row.text();
  vm.provisioning = row.text();
  vm.policy = row.text();
  vm.restarts_wanted = row.integer();
  vm.restarts_done = row.integer();
  vm.attempts = row.integer();
  vm.deadline = row.integer();
  vm.boot_id = row.text();
  vm.addresses = row.text();
  vm.message = row.text();
  vm.error = row.text();
  vm.created = row.integer();
  return vm;
}

ImageRecord imageFrom(RowReader& row) {
  ImageRecord image;
  image.name = row.text();
  image.source = row.text();
  image.spec = row.text();
  image.desired = row.text();
  image.state = row.text();
  image.percent = row.number();
  image.virtual_bytes = row.integer();
  image.sha256 = row.text();
  image.error = row.text();
  image.created = row.integer();
  return image;
}

OperationRecord operationFrom(RowReader& row) {
  OperationRecord operation;
  operation.id = row.integer();
  operation.kind = row.text();
  operation.subject = row.text();
  operation.targets = row.text();
  operation.state = row.text();
  operation.percent = row.number();
  operation.message = row.text();
  operation.error = row.text();
  operation.warnings = row.text();
  operation.result = row.text();
  operation.created = row.integer();
  operation.finished = row.integer();
  return operation;
}

JournalStep stepFrom(RowReader& row) {
  JournalStep step;
  step.operation = row.integer();
  step.seq = row.number();
  step.step = row.text();
  step.undo = row.text();
  step.state = row.named<StepState>();
  step.data = row.text();
  return step;
}

Event eventFrom(RowReader& row) {
  Event event;
  event.seq = row.integer();
  event.time = row.integer();
  event.kind = row.text();
  event.subject = row.text();
  event.message = row.text();
  event.data = row.text();
  return event;
}

Reservation reservationFrom(RowReader& row) {
  Reservation reservation;
  reservation.name = row.text();
  reservation.gpus = row.number();
  reservation.created = row.integer();
  return reservation;
}

template <typename T>
Result<std::optional<T>> first(Result<std::vector<T>> rows) {
  if (!rows) return fail(std::move(rows).error());
  if (rows->empty()) return std::optional<T>();
  return std::optional<T>(std::move(rows->front()));
}

}  // namespace

Ledger::Ledger(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Ledger::~Ledger() = default;

Result<std::unique_ptr<Ledger>> Ledger::open(const std::string& dir, const OpenOptions& options) {
  TRY(LockFile lock, LockFile::acquire(dir + "/lock"));
  const std::string path = dir + "/ledger.db";
  TRY(Database database, Database::open(path, Database::Access::ReadWrite, options.vfs));
  if (auto ready = setUp(database); !ready) return fail(withRemedy(std::move(ready).error(), path));
  auto impl = std::make_unique<Impl>(std::move(lock), std::move(database), options.fail_point);
  return std::unique_ptr<Ledger>(new Ledger(std::move(impl)));
}

Result<State> Ledger::loadState() { return readState(impl_->database); }

Result<std::vector<Reservation>> Ledger::reservations() {
  return readRows(impl_->database, "reservation",
                  "SELECT name, gpus, created FROM reservation ORDER BY created, name", reservationFrom);
}

Result<std::vector<WorkloadRecord>> Ledger::workloads() {
  return readRows(impl_->database, "workload", select(kWorkloadColumns, "workload ORDER BY created, name"),
                  workloadFrom);
}

Result<std::vector<ContainerRecord>> Ledger::containers() {
  return readRows(impl_->database, "container", select(kContainerColumns, "container ORDER BY name"),
                  containerFrom);
}

Result<std::vector<VmRecord>> Ledger::vms() {
  return readRows(impl_->database, "vm", select(kVmColumns, "vm ORDER BY name"), vmFrom);
}

Result<std::vector<ImageRecord>> Ledger::images() {
  return readRows(impl_->database, "image", select(kImageColumns, "image ORDER BY name"), imageFrom);
}

Result<std::vector<OperationRecord>> Ledger::operations(int limit) {
  return readRows(
      impl_->database, "operation", select(kOperationColumns, "operation ORDER BY id DESC LIMIT ?"),
      [limit](Statement& statement) { statement.bind(1, std::int64_t{limit}); }, operationFrom);
}

Result<std::vector<OperationRecord>> Ledger::unfinishedOperations() {
  return readRows(impl_->database, "operation",
                  select(kOperationColumns, "operation WHERE finished = 0 ORDER BY id"), operationFrom);
}

Result<std::vector<JournalStep>> Ledger::journal(std::int64_t operation) {
  return readRows(
      impl_->database, "journal",
      "SELECT operation, seq, step, undo, state, data FROM journal WHERE operation = ? ORDER BY seq",
      [operation](Statement& statement) { statement.bind(1, operation); }, stepFrom);
}

Result<std::vector<Event>> Ledger::events(std::int64_t after_seq, int limit) {
  return readRows(
      impl_->database, "event",
      "SELECT seq, time, kind, subject, message, data FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
      [after_seq, limit](Statement& statement) { statement.bind(1, after_seq).bind(2, std::int64_t{limit}); },
      eventFrom);
}

Result<std::int64_t> Ledger::lastEvent() {
  return impl_->database.integer("SELECT coalesce(max(seq), 0) FROM event");
}

Result<std::optional<std::string>> Ledger::setting(std::string_view key) {
  return first(readRows(
      impl_->database, "setting", "SELECT value FROM setting WHERE key = ?",
      [key](Statement& statement) { statement.bind(1, key); }, [](RowReader& row) { return row.text(); }));
}

const std::optional<Error>& Ledger::closedBy() const { return impl_->closed_by; }

Result<Transaction> Ledger::begin(std::string_view name) {
  if (impl_->closed_by) {
    return fail(ErrorCode::Unavailable, "the ledger takes no more writes: " + impl_->closed_by->message);
  }
  if (impl_->writing) return fail(ErrorCode::Internal, "another transaction is open");
  impl_->transaction_error.reset();
  TRY_VOID(impl_->write("BEGIN IMMEDIATE", [](Statement&) {}));
  return Transaction(*impl_, name);
}

}  // namespace berth::ledger
