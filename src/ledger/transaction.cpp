// Writing the ledger.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "base/types.h"
#include "ledger/failpoint.h"
#include "ledger/ledger.h"
#include "ledger/ledger_impl.h"
#include "ledger/records.h"
#include "ledger/rows.h"
#include "ledger/sqlite.h"
#include "ledger/state.h"

namespace berth::ledger {
namespace {

constexpr std::string_view kPutGpu =
    "INSERT INTO gpu VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (uuid) DO UPDATE "
    "SET pci = ?2, position = ?3, name = ?4, memory_mib = ?5, simulated = ?6, owner_kind = ?7, "
    "owner_name = ?8, mode = ?9, health = ?10, health_reason = ?11, generation = ?12";
constexpr std::string_view kPutBerth =
    "INSERT OR REPLACE INTO berth VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
constexpr std::string_view kPutWorkload =
    "INSERT INTO workload VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (name) DO UPDATE "
    "SET "
    "kind = ?2, namespace = ?3, source = ?4, spec = ?5, desired = ?6, outcome = ?7, succeeded = ?8, failed = "
    "?9, "
    "message = ?10, created = ?11";
constexpr std::string_view kPutVm =
    "INSERT INTO vm VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON "
    "CONFLICT "
    "(name) DO UPDATE SET uuid = ?2, spec = ?3, desired = ?4, power = ?5, provisioning = ?6, policy = ?7, "
    "restarts_wanted = ?8, restarts_done = ?9, attempts = ?10, deadline = ?11, boot_id = ?12, addresses = "
    "?13, "
    "message = ?14, error = ?15, created = ?16";
constexpr std::string_view kPutOperation =
    "INSERT INTO operation VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (id) DO "
    "UPDATE "
    "SET kind = ?2, subject = ?3, targets = ?4, state = ?5, percent = ?6, message = ?7, error = ?8, warnings "
    "= ?9, "
    "result = ?10, created = ?11, finished = ?12";
constexpr std::string_view kTrimOperations =
    "DELETE FROM operation WHERE id <= (SELECT max(id) FROM operation) - ? AND finished != 0";

template <typename Impl>
Result<void> deleteBerths(Impl& ledger, const std::vector<Berth>& before, const std::vector<Berth>& after) {
  auto kept = after.begin();
  for (const Berth& berth : before) {
    while (kept != after.end() && kept->id < berth.id) ++kept;
    if (kept != after.end() && kept->id == berth.id) continue;
    TRY_VOID(ledger.write("DELETE FROM berth WHERE id = ?",
                          [&berth](Statement& statement) { statement.bind(1, berth.id); }));
  }
  return {};
}

template <typename Impl>
Result<void> putBerths(Impl& ledger, const std::vector<Berth>& before, const std::vector<Berth>& after) {
  auto old = before.begin();
  for (const Berth& berth : after) {
    while (old != before.end() && old->id < berth.id) ++old;
    if (old != before.end() && *old == berth) continue;
    TRY_VOID(ledger.write(kPutBerth, [&berth](Statement& statement) { bindBerth(statement, berth); }));
  }
  return {};
}

template <typename Impl>
Result<void> writeLoans(Impl& ledger, const std::vector<Loan>& before, const std::vector<Loan>& after) {
  for (const Loan& loan : before) {
    if (std::ranges::find(after, loan.gpu, &Loan::gpu) != after.end()) continue;
    TRY_VOID(ledger.write("DELETE FROM loan WHERE gpu = ?",
                          [&loan](Statement& statement) { statement.bind(1, loan.gpu.value); }));
  }
  for (const Loan& loan : after) {
    if (std::ranges::find(before, loan) != before.end()) continue;
    TRY_VOID(ledger.write("INSERT OR REPLACE INTO loan VALUES (?, ?, ?)", [&loan](Statement& statement) {
      statement.bind(1, loan.gpu.value).bind(2, loan.vm).bind(3, std::int64_t{loan.recalled});
    }));
  }
  return {};
}

using GpusByUuid = std::unordered_map<std::string_view, const Gpu*>;

GpusByUuid byUuid(const std::vector<Gpu>& gpus) {
  GpusByUuid found;
  for (const Gpu& gpu : gpus) found.emplace(gpu.uuid.value, &gpu);
  return found;
}

template <typename Impl>
Result<void> putGpus(Impl& ledger, const std::vector<Gpu>& before, const std::vector<Gpu>& after) {
  const GpusByUuid known = byUuid(before);
  for (const Gpu& gpu : after) {
    const auto old = known.find(gpu.uuid.value);
    if (old != known.end() && *old->second == gpu) continue;
    TRY_VOID(ledger.write(kPutGpu, [&gpu](Statement& statement) { bindGpu(statement, gpu); }));
  }
  return {};
}

template <typename Impl>
Result<void> deleteGpus(Impl& ledger, const std::vector<Gpu>& before, const std::vector<Gpu>& after) {
  const GpusByUuid kept = byUuid(after);
  for (const Gpu& gpu : before) {
    if (kept.contains(gpu.uuid.value)) continue;
    TRY_VOID(ledger.write("DELETE FROM gpu WHERE uuid = ?",
                          [&gpu](Statement& statement) { statement.bind(1, gpu.uuid.value); }));
  }
  return {};
}

void bindVm(Statement& statement, const VmRecord& vm) {
  statement.bind(1, vm.name).bind(2, vm.uuid).bind(3, vm.spec).bind(4, vm.desired).bind(5, vm.power);
  statement.bind(6, vm.provisioning).bind(7, vm.policy).bind(8, vm.restarts_wanted);
  statement.bind(9, vm.restarts_done).bind(10, vm.attempts).bind(11, vm.deadline).bind(12, vm.boot_id);
  statement.bind(13, vm.addresses).bind(14, vm.message).bind(15, vm.error).bind(16, vm.created);
}

void bindImage(Statement& statement, const ImageRecord& image) {
  statement.bind(1, image.name).bind(2, image.source).bind(3, image.spec).bind(4, image.desired);
  statement.bind(5, image.state).bind(6, std::int64_t{image.percent}).bind(7, image.virtual_bytes);
  statement.bind(8, image.sha256).bind(9, image.error).bind(10, image.created);
}

void bindOperation(Statement& statement, const OperationRecord& operation) {
  statement.bind(1, operation.id)
      .bind(2, operation.kind)
      .bind(3, operation.subject)
      .bind(4, operation.targets);
  statement.bind(5, operation.state).bind(6, std::int64_t{operation.percent}).bind(7, operation.message);
  statement.bind(8, operation.error).bind(9, operation.warnings).bind(10, operation.result);
  statement.bind(11, operation.created).bind(12, operation.finished);
}

void bindContainer(Statement& statement, const ContainerRecord& container) {
  statement.bind(1, container.name).bind(2, container.workload.value).bind(3, std::int64_t{container.pod});
  statement.bind(4, std::int64_t{container.spec}).bind(5, container.phase).bind(6, container.engine_id.value);
  statement.bind(7, container.attempt).bind(8, std::int64_t{container.restarts});
  if (container.exit_code) {
    statement.bind(9, std::int64_t{*container.exit_code});
  } else {
    statement.bindNull(9);
  }
  statement.bind(10, std::int64_t{container.counted}).bind(11, container.not_before);
  statement.bind(12, container.started).bind(13, container.finished).bind(14, container.mode);
  statement.bind(15, container.mps_generation).bind(16, container.message);
}

template <typename Impl>
Result<std::int64_t> lastRow(Impl& ledger) {
  TRY(Statement * statement, ledger.database.cached("SELECT last_insert_rowid()"));
  StatementUse use(*statement);
  TRY(const bool row, use->step());
  return row ? use->integer(0) : 0;
}

template <typename Impl>
Result<std::int64_t> eventsToKeep(Impl& ledger) {
  TRY(Statement * statement, ledger.database.cached("SELECT value FROM setting WHERE key = ?"));
  StatementUse use(*statement);
  use->bind(1, kEventsToKeep);
  TRY(const bool row, use->step());
  if (!row) return kDefaultEventsToKeep;
  return parseWholeNumber(use->text(0)).value_or(kDefaultEventsToKeep);
}

}  // namespace

void Ledger::Impl::cross(std::string_view name, std::string_view where) {
  ++crossings;
  if (fail_point == nullptr) return;
  fail_point->cross(std::string(name) + ":" + std::string(where), crossings);
}

void Ledger::Impl::noteFailure(const Error& error) {
  transaction_error = error;
  if (error.code != ErrorCode::Conflict && !closed_by) closed_by = error;
}

Transaction::Transaction(Ledger::Impl& ledger, std::string_view name) : ledger_(&ledger), name_(name) {
  ledger_->writing = true;
}

Transaction::Transaction(Transaction&& other) noexcept
    : ledger_(std::exchange(other.ledger_, nullptr)), name_(other.name_) {}

Transaction::~Transaction() {
  if (ledger_ == nullptr) return;
  ledger_->writing = false;
  // Fails only where SQLite has rolled back by itself.
  static_cast<void>(ledger_->database.run("ROLLBACK"));
}

Result<void> Transaction::saveState(const State& before, const State& after) {
  TRY_VOID(deleteBerths(*ledger_, before.berths, after.berths));
  TRY_VOID(putGpus(*ledger_, before.gpus, after.gpus));
  TRY_VOID(putBerths(*ledger_, before.berths, after.berths));
  TRY_VOID(writeLoans(*ledger_, before.loans, after.loans));
  TRY_VOID(deleteGpus(*ledger_, before.gpus, after.gpus));
  if (before.kubernetes == after.kubernetes && before.next_berth == after.next_berth) return {};
  return ledger_->write("UPDATE kubernetes SET enabled = ?, kubelet_attached = ?, next_berth = ?",
                        [&after](Statement& statement) {
                          statement.bind(1, std::int64_t{after.kubernetes.enabled});
                          statement.bind(2, std::int64_t{after.kubernetes.kubelet_attached});
                          statement.bind(3, after.next_berth);
                        });
}

Result<void> Transaction::putReservation(const Reservation& reservation) {
  return ledger_->write("INSERT OR REPLACE INTO reservation VALUES (?, ?, ?)",
                        [&reservation](Statement& statement) {
                          statement.bind(1, reservation.name).bind(2, std::int64_t{reservation.gpus});
                          statement.bind(3, reservation.created);
                        });
}

Result<void> Transaction::deleteReservation(std::string_view name) {
  return ledger_->write("DELETE FROM reservation WHERE name = ?",
                        [name](Statement& statement) { statement.bind(1, name); });
}

Result<void> Transaction::putWorkload(const WorkloadRecord& workload) {
  return ledger_->write(kPutWorkload, [&workload](Statement& statement) {
    statement.bind(1, workload.name.value).bind(2, workload.kind).bind(3, workload.name_space);
    statement.bind(4, workload.source).bind(5, workload.spec).bind(6, workload.desired);
    statement.bind(7, workload.outcome).bind(8, std::int64_t{workload.succeeded});
    statement.bind(9, std::int64_t{workload.failed}).bind(10, workload.message).bind(11, workload.created);
  });
}

Result<void> Transaction::deleteWorkload(const WorkloadName& name) {
  return ledger_->write("DELETE FROM workload WHERE name = ?",
                        [&name](Statement& statement) { statement.bind(1, name.value); });
}

Result<void> Transaction::putContainer(const ContainerRecord& container) {
  return ledger_->write(
      "INSERT OR REPLACE INTO container VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      [&container](Statement& statement) { bindContainer(statement, container); });
}

Result<void> Transaction::deleteContainer(std::string_view name) {
  return ledger_->write("DELETE FROM container WHERE name = ?",
                        [name](Statement& statement) { statement.bind(1, name); });
}

Result<void> Transaction::putVm(const VmRecord& vm) {
  return ledger_->write(kPutVm, [&vm](Statement& statement) { bindVm(statement, vm); });
}

Result<void> Transaction::deleteVm(const std::string& name) {
  return ledger_->write("DELETE FROM vm WHERE name = ?",
                        [&name](Statement& statement) { statement.bind(1, name); });
}

Result<void> Transaction::putImage(const ImageRecord& image) {
  return ledger_->write("INSERT OR REPLACE INTO image VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        [&image](Statement& statement) { bindImage(statement, image); });
}

Result<void> Transaction::deleteImage(const std::string& name) {
  return ledger_->write("DELETE FROM image WHERE name = ?",
                        [&name](Statement& statement) { statement.bind(1, name); });
}

Result<void> Transaction::putOperation(const OperationRecord& operation) {
  TRY_VOID(ledger_->write(kPutOperation,
                          [&operation](Statement& statement) { bindOperation(statement, operation); }));
  return ledger_->write(kTrimOperations, [](Statement& statement) { statement.bind(1, kOperationsKept); });
}

Result<void> Transaction::putStep(const JournalStep& step) {
  return ledger_->write("INSERT OR REPLACE INTO journal VALUES (?, ?, ?, ?, ?, ?)",
                        [&step](Statement& statement) {
                          statement.bind(1, step.operation).bind(2, std::int64_t{step.seq});
                          statement.bind(3, step.step).bind(4, step.undo);
                          statement.bind(5, name(step.state)).bind(6, step.data);
                        });
}

Result<void> Transaction::setStepState(std::int64_t operation, int seq, StepState state) {
  return ledger_->write("UPDATE journal SET state = ?3 WHERE operation = ?1 AND seq = ?2",
                        [operation, seq, state](Statement& statement) {
                          statement.bind(1, operation).bind(2, std::int64_t{seq}).bind(3, name(state));
                        });
}

Result<std::int64_t> Transaction::appendEvent(const Event& event) {
  TRY_VOID(ledger_->write("INSERT INTO event VALUES (NULL, ?, ?, ?, ?, ?)", [&event](Statement& statement) {
    statement.bind(1, event.time).bind(2, event.kind).bind(3, event.subject);
    statement.bind(4, event.message).bind(5, event.data);
  }));
  TRY(const std::int64_t seq, lastRow(*ledger_));
  TRY(const std::int64_t keep, eventsToKeep(*ledger_));
  if (seq > keep) {
    TRY_VOID(ledger_->write("DELETE FROM event WHERE seq <= ?",
                            [seq, keep](Statement& statement) { statement.bind(1, seq - keep); }));
  }
  return seq;
}

Result<void> Transaction::putSetting(std::string_view key, std::string_view value) {
  return ledger_->write("INSERT OR REPLACE INTO setting VALUES (?, ?)",
                        [key, value](Statement& statement) { statement.bind(1, key).bind(2, value); });
}

Result<void> Transaction::deleteSetting(std::string_view key) {
  return ledger_->write("DELETE FROM setting WHERE key = ?",
                        [key](Statement& statement) { statement.bind(1, key); });
}

Result<void> Transaction::commit() {
  ledger_->cross(name_, "before");
  TRY_VOID(ledger_->write("COMMIT", [](Statement&) {}).during(name_));
  Ledger::Impl& ledger = *std::exchange(ledger_, nullptr);
  ledger.writing = false;
  ledger.cross(name_, "after");
  return {};
}

}  // namespace berth::ledger
