// Keeping what can be read of a damaged ledger: table by table, row by row, from both ends.
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "arbiter/arbiter.h"
#include "base/error.h"
#include "ledger/ledger.h"
#include "ledger/lock_file.h"
#include "ledger/rows.h"
#include "ledger/schema.h"
#include "ledger/sqlite.h"
#include "ledger/state.h"

namespace berth::ledger {
namespace {

namespace fs = std::filesystem;

struct Table {
  std::string_view name;
  std::string_view columns;
  int count;
  std::string_view key;  // Rows are read in this order, and backwards after damage.
};

// Parents before children.
constexpr std::array<Table, 13> kTables{{
    {"gpu",
     "uuid, pci, position, name, memory_mib, simulated, owner_kind, owner_name, mode, health, health_reason, "
     "generation",
     12, "rowid"},
    {"berth",
     "id, gpu, holder_kind, holder_name, whole, compute, thread_percentage, memory_mib, compute_rung, "
     "memory_rung, best_effort",
     11, "rowid"},
    {"kubernetes", "one, enabled, kubelet_attached, next_berth", 4, "rowid"},
    {"reservation", "name, gpus, created", 3, "rowid"},
    {"workload", "name, kind, namespace, source, spec, desired, outcome, succeeded, failed, message, created",
     11, "rowid"},
    {"container",
     "name, workload, pod, spec, phase, engine_id, attempt, restarts, exit_code, counted, not_before, "
     "started, "
     "finished, mode, mps_generation, message",
     16, "rowid"},
    {"operation",
     "id, kind, subject, targets, state, percent, message, error, warnings, result, created, finished", 12,
     "rowid"},
    {"journal", "operation, seq, step, undo, state, data", 6, "operation, seq"},
    {"event", "seq, time, kind, subject, message, data", 6, "rowid"},
    {"setting", "key, value", 2, "rowid"},
    {"loan", "gpu, vm, recalled", 3, "rowid"},
    {"vm",
     "name, uuid, spec, desired, power, provisioning, policy, restarts_wanted, restarts_done, attempts, "
     "deadline, boot_id, addresses, message, error, created",
     16, "rowid"},
    {"image", "name, source, spec, desired, state, percent, virtual_bytes, sha256, error, created", 10,
     "rowid"},
}};

std::string placeholders(int count) {
  std::string marks = "?";
  for (int i = 1; i < count; ++i) marks += ", ?";
  return marks;
}

struct Tally {
  std::int64_t kept = 0;
  std::int64_t rejected = 0;
  bool damaged = false;
};

enum class Pass : std::uint8_t { Forward, Backward };

std::string orderOf(const Table& table, Pass pass) {
  const bool by_rowid = table.key == "rowid";
  if (pass == Pass::Forward) return std::string(table.key);
  return by_rowid ? "rowid DESC" : "operation DESC, seq DESC";
}

/// Copies one row. One that the new ledger's constraints do not take is counted, on the way forward; on the
/// way back most of them are there already.
Result<void> copyRow(Database& to, const Table& table, const Statement& row, Pass pass, Tally& tally) {
  TRY(Statement * insert,
      to.cached("INSERT INTO " + std::string(table.name) + " VALUES (" + placeholders(table.count) + ")"));
  for (int column = 0; column < table.count; ++column) {
    if (row.isNull(column)) {
      insert->bindNull(column + 1);
    } else {
      // The tables are strict: text that spells a number is stored as that number.
      insert->bind(column + 1, std::string_view(row.text(column)));
    }
  }
  Result<void> done = insert->run();
  if (done) {
    ++tally.kept;
    return {};
  }
  if (done.error().code != ErrorCode::Conflict) return done;
  if (pass == Pass::Forward) ++tally.rejected;
  return {};
}

/// Reads in one direction until the end or the first damage. Only a failure to write is an error.
Result<void> copyInOrder(Database& from, Database& to, const Table& table, Pass pass, Tally& tally) {
  auto rows = from.prepare("SELECT " + std::string(table.columns) + " FROM " + std::string(table.name) +
                           " NOT INDEXED ORDER BY " + orderOf(table, pass));
  if (!rows) tally.damaged = true;
  while (rows) {
    const Result<bool> row = rows->step();
    if (!row) tally.damaged = true;
    if (!row || !*row) return {};
    TRY_VOID(copyRow(to, table, *rows, pass, tally));
  }
  return {};
}

/// A table of a later schema than the file's own is not lost: it never was there.
bool isLaterTable(Database& from, const Table& table) {
  const auto version = from.integer("PRAGMA user_version");
  const auto there =
      from.integer("SELECT count(*) FROM sqlite_schema WHERE name = '" + std::string(table.name) + "'");
  return version && *version < schemaVersion() && there && *there == 0;
}

Result<Tally> copyTable(Database& from, Database& to, const Table& table) {
  Tally tally;
  TRY_VOID(copyInOrder(from, to, table, Pass::Forward, tally));
  if (tally.damaged) TRY_VOID(copyInOrder(from, to, table, Pass::Backward, tally));
  return tally;
}

void note(RepairReport& report, std::string finding) {
  report.findings.push_back(std::move(finding));
  report.complete = false;
}

void noteTable(RepairReport& report, const Table& table, const Tally& tally) {
  const std::string name = "table " + std::string(table.name) + ": ";
  const std::string kept = std::to_string(tally.kept) + " rows kept";
  if (tally.damaged) note(report, name + kept + ", the others are unreadable");
  if (tally.rejected > 0) {
    note(report, name + std::to_string(tally.rejected) + " rows refer to lost ones or make no sense");
  }
}

Result<void> copyAll(Database& from, Database& to, RepairReport& report) {
  // The one row of kubernetes is there already in a new ledger; what was read replaces it.
  TRY_VOID(to.run("DELETE FROM kubernetes"));
  for (const Table& table : kTables) {
    if (isLaterTable(from, table)) continue;
    TRY(const Tally tally, copyTable(from, to, table));
    noteTable(report, table, tally);
  }
  return to.run("INSERT OR IGNORE INTO kubernetes VALUES (1, 0, 0, 1)");
}

/// Rows whose values no Berth writes would stop the next start as well.
Result<void> dropUnreadable(Database& to, RepairReport& report) {
  static constexpr std::array<std::string_view, 3> kSenseless{
      "DELETE FROM berth WHERE holder_kind NOT IN ('vm', 'reservation', 'container') OR id < 1 OR whole NOT "
      "IN "
      "(0, 1) OR best_effort NOT IN (0, 1) OR compute NOT BETWEEN 0 AND 100 OR thread_percentage NOT BETWEEN "
      "0 "
      "AND 100 OR memory_mib < 0 OR compute_rung NOT IN ('dmem', 'mps-v3', 'mps-v2', 'guard', 'none') OR "
      "memory_rung NOT IN ('dmem', 'mps-v3', 'mps-v2', 'guard', 'none')",
      "DELETE FROM gpu WHERE owner_kind NOT IN ('free', 'vm', 'kubernetes', 'local', 'quarantined', "
      "'moving') OR "
      "mode NOT IN ('exclusive', 'timeslice', 'mps') OR health NOT IN ('ok', 'unhealthy', 'lost') OR "
      "simulated "
      "NOT IN (0, 1) OR position NOT BETWEEN 0 AND 65535 OR rowid NOT IN (SELECT min(rowid) FROM gpu GROUP "
      "BY "
      "position) OR rowid NOT IN (SELECT min(rowid) FROM gpu GROUP BY pci)",
      "UPDATE kubernetes SET enabled = 0, kubelet_attached = 0 WHERE enabled NOT IN (0, 1) OR "
      "kubelet_attached "
      "NOT IN (0, 1)"};
  TRY_VOID(to.run("PRAGMA foreign_keys = OFF"));
  for (const std::string_view sql : kSenseless) {
    TRY_VOID(to.run(std::string(sql)));
    TRY(const std::int64_t changed, to.integer("SELECT changes()"));
    if (changed > 0) note(report, std::to_string(changed) + " rows of the state made no sense");
  }
  TRY_VOID(to.run("DELETE FROM berth WHERE gpu NOT IN (SELECT uuid FROM gpu)"));
  TRY_VOID(to.run("DELETE FROM loan WHERE gpu NOT IN (SELECT uuid FROM gpu)"));
  TRY_VOID(
      to.run("UPDATE kubernetes SET next_berth = max(next_berth, 1, (SELECT coalesce(max(id), 0) + 1 "
             "FROM berth))"));
  return to.run("PRAGMA foreign_keys = ON");
}

/// The state as if there were only this GPU.
State only(const State& state, const Gpu& gpu) {
  State one;
  one.kubernetes = state.kubernetes;
  one.next_berth = state.next_berth;
  one.gpus.push_back(gpu);
  for (const Berth* berth : berthsOn(state, gpu.uuid)) one.berths.push_back(*berth);
  if (const Loan* loan = loanOf(state, gpu.uuid)) one.loans.push_back(*loan);
  return one;
}

Result<void> quarantine(Database& to, const Gpu& gpu, const std::string& why) {
  TRY(Statement * end, to.cached("DELETE FROM berth WHERE gpu = ?"));
  TRY_VOID(end->bind(1, gpu.uuid.value).run());
  TRY(Statement * forget, to.cached("DELETE FROM loan WHERE gpu = ?"));
  TRY_VOID(forget->bind(1, gpu.uuid.value).run());
  TRY(Statement * mark, to.cached("UPDATE gpu SET owner_kind = 'quarantined', owner_name = ?2, generation = "
                                  "generation + 1 WHERE uuid = ?1"));
  return mark->bind(1, gpu.uuid.value).bind(2, "ledger repaired: " + why).run();
}

/// A GPU whose owner and berths contradict each other after the loss is given to nobody.
Result<void> quarantineContradictions(Database& to, RepairReport& report) {
  TRY(const State state, readState(to));
  for (const Gpu& gpu : state.gpus) {
    const std::string why = arbiter::violation(only(state, gpu));
    if (why.empty()) continue;
    TRY_VOID(quarantine(to, gpu, why));
    note(report, "GPU " + std::to_string(gpu.index) + " is in quarantine: " + why);
  }
  return {};
}

Result<void> salvage(const std::string& from_path, const std::string& to_path, RepairReport& report) {
  TRY(Database to, Database::open(to_path, Database::Access::ReadWrite, ""));
  TRY_VOID(to.run("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON"));
  TRY_VOID(migrate(to));
  TRY_VOID(to.run("BEGIN IMMEDIATE"));
  auto from = Database::open(from_path, Database::Access::ReadWrite, "");
  if (from) {
    // Only spares the log's index file; without it reading works as well.
    static_cast<void>(from->run("PRAGMA locking_mode = EXCLUSIVE"));
    TRY_VOID(copyAll(*from, to, report));
  } else {
    note(report, "nothing could be read: " + from.error().message);
  }
  TRY_VOID(to.run("COMMIT"));
  TRY_VOID(dropUnreadable(to, report));
  return quarantineContradictions(to, report);
}

Result<void> move(const std::string& from, const std::string& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error && error.value() != ENOENT) return fail(errnoError(error.value(), "rename", from));
  return {};
}

/// A big-endian number in the file's header (https://sqlite.org/fileformat2.html, 1.3); 0 when it is shorter.
std::uint32_t headerNumber(const std::string& path, std::streamoff offset) {
  std::ifstream file(path, std::ios::binary);
  std::array<unsigned char, 4> bytes{};
  file.seekg(offset);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), bytes.size())) return 0;
  std::uint32_t number = 0;
  for (const unsigned char byte : bytes) number = number << 8U | byte;
  return number;
}

/// What a newer Berth wrote is whole for that Berth; this one would lose what it does not know.
Result<void> checkNotNewer(const std::string& path) {
  constexpr std::streamoff kUserVersion = 60;
  constexpr std::streamoff kApplicationIdAt = 68;
  const std::uint32_t version = headerNumber(path, kUserVersion);
  const bool ours = headerNumber(path, kApplicationIdAt) == std::uint32_t{kApplicationId};
  if (!ours || version <= static_cast<std::uint32_t>(schemaVersion())) return {};
  return fail(ErrorCode::Conflict, path + ": schema version " + std::to_string(version) +
                                       " was written by a newer Berth; this one knows up to version " +
                                       std::to_string(schemaVersion()) + " and repairs no other");
}

/// The first "ledger.db.damaged-N" that is not taken.
std::string freeName(const std::string& path) {
  int number = 1;
  while (fs::exists(path + ".damaged-" + std::to_string(number))) ++number;
  return path + ".damaged-" + std::to_string(number);
}

}  // namespace

Result<RepairReport> Ledger::repair(const std::string& dir) {
  TRY(const LockFile lock, LockFile::acquire(dir + "/lock"));
  const std::string path = dir + "/ledger.db";
  if (!fs::exists(path)) return fail(ErrorCode::NotFound, path + ": no such file");
  TRY_VOID(checkNotNewer(path));
  RepairReport report;
  report.damaged_copy = freeName(path);
  const std::string fresh = path + ".repaired";
  std::error_code ignored;
  fs::remove(fresh, ignored);  // Left by a repair that was interrupted.
  // The log goes first: whatever interrupts this, a log is never beside a file that is not its own.
  TRY_VOID(move(path + "-wal", report.damaged_copy + "-wal"));
  TRY_VOID(move(path, report.damaged_copy));
  TRY_VOID(salvage(report.damaged_copy, fresh, report).during("repairing " + path));
  TRY_VOID(move(fresh, path));
  return report;
}

}  // namespace berth::ledger
