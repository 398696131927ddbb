#include "ledger/schema.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "ledger/sqlite.h"

namespace berth::ledger {
namespace {

constexpr std::string_view kVersion1 = R"sql(
CREATE TABLE gpu (
  uuid TEXT PRIMARY KEY,
  pci TEXT NOT NULL,
  position INTEGER NOT NULL,
  name TEXT NOT NULL,
  memory_mib INTEGER NOT NULL,
  simulated INTEGER NOT NULL,
  owner_kind TEXT NOT NULL,
  owner_name TEXT NOT NULL,
  mode TEXT NOT NULL,
  health TEXT NOT NULL,
  health_reason TEXT NOT NULL,
  generation INTEGER NOT NULL
) STRICT;
CREATE TABLE berth (
  id INTEGER PRIMARY KEY,
  gpu TEXT NOT NULL REFERENCES gpu (uuid),
  holder_kind TEXT NOT NULL,
  holder_name TEXT NOT NULL,
  whole INTEGER NOT NULL,
  compute INTEGER NOT NULL,
  thread_percentage INTEGER NOT NULL,
  memory_mib INTEGER NOT NULL,
  compute_rung TEXT NOT NULL,
  memory_rung TEXT NOT NULL,
  best_effort INTEGER NOT NULL
) STRICT;
CREATE INDEX berth_gpu ON berth (gpu);
CREATE TABLE kubernetes (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  enabled INTEGER NOT NULL,
  kubelet_attached INTEGER NOT NULL,
  next_berth INTEGER NOT NULL
) STRICT;
INSERT INTO kubernetes VALUES (1, 0, 0, 1);
CREATE TABLE reservation (
  name TEXT PRIMARY KEY,
  gpus INTEGER NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE TABLE workload (
  name TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  namespace TEXT NOT NULL,
  source TEXT NOT NULL,
  spec TEXT NOT NULL,
  desired TEXT NOT NULL CHECK (desired IN ('running', 'stopped', 'deleted')),
  outcome TEXT NOT NULL CHECK (outcome IN ('none', 'succeeded', 'failed')),
  succeeded INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  message TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE TABLE container (
  name TEXT PRIMARY KEY,
  workload TEXT NOT NULL REFERENCES workload (name) ON DELETE CASCADE,
  pod INTEGER NOT NULL,
  spec INTEGER NOT NULL,
  phase TEXT NOT NULL CHECK (phase IN ('waiting', 'starting', 'running', 'exited', 'done')),
  engine_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  restarts INTEGER NOT NULL,
  exit_code INTEGER,
  counted INTEGER NOT NULL CHECK (counted IN (0, 1)),
  not_before INTEGER NOT NULL,
  started INTEGER NOT NULL,
  finished INTEGER NOT NULL,
  mode TEXT NOT NULL,
  mps_generation INTEGER NOT NULL,
  message TEXT NOT NULL
) STRICT;
CREATE INDEX container_workload ON container (workload);
CREATE TABLE operation (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  targets TEXT NOT NULL,
  state TEXT NOT NULL,
  percent INTEGER NOT NULL,
  message TEXT NOT NULL,
  error TEXT NOT NULL,
  warnings TEXT NOT NULL,
  result TEXT NOT NULL,
  created INTEGER NOT NULL,
  finished INTEGER NOT NULL
) STRICT;
CREATE INDEX operation_unfinished ON operation (id) WHERE finished = 0;
CREATE TABLE journal (
  operation INTEGER NOT NULL REFERENCES operation (id) ON DELETE CASCADE,
  seq INTEGER NOT NULL,
  step TEXT NOT NULL,
  undo TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('intent', 'done', 'undone')),
  data TEXT NOT NULL,
  PRIMARY KEY (operation, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  time INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  message TEXT NOT NULL,
  data TEXT NOT NULL
) STRICT;
CREATE TRIGGER event_is_append_only BEFORE UPDATE ON event
BEGIN
  SELECT raise(ABORT, 'events are never changed');
END;
CREATE TABLE setting (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;
)sql";

// Virtual machines.
constexpr std::string_view kVersion2 = R"sql(
CREATE TABLE loan (
  gpu TEXT PRIMARY KEY REFERENCES gpu (uuid),
  vm TEXT NOT NULL,
  recalled INTEGER NOT NULL CHECK (recalled IN (0, 1))
) STRICT;
CREATE TABLE vm (
  name TEXT PRIMARY KEY,
  uuid TEXT NOT NULL UNIQUE,
  spec TEXT NOT NULL,
  desired TEXT NOT NULL CHECK (desired IN ('running', 'stopped', 'deallocated', 'deleted')),
  power TEXT NOT NULL,
  provisioning TEXT NOT NULL,
  policy TEXT NOT NULL CHECK (policy IN ('hold', 'lend', 'release')),
  restarts_wanted INTEGER NOT NULL,
  restarts_done INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  addresses TEXT NOT NULL,
  message TEXT NOT NULL,
  error TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE TABLE image (
  name TEXT PRIMARY KEY,
  source TEXT NOT NULL,
  spec TEXT NOT NULL,
  desired TEXT NOT NULL CHECK (desired IN ('present', 'deleted')),
  state TEXT NOT NULL CHECK (state IN ('importing', 'ready', 'failed')),
  percent INTEGER NOT NULL,
  virtual_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  error TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT;
)sql";

constexpr std::array<std::string_view, 2> kSteps{kVersion1, kVersion2};

/// Every table, index and trigger with its text, one a line.
Result<std::string> schemaText(Database& database) {
  TRY(Statement rows, database.prepare("SELECT type, name, coalesce(sql, '') FROM sqlite_schema "
                                       "WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name"));
  std::string text;
  for (;;) {
    TRY(const bool row, rows.step());
    if (!row) return text;
    text += rows.text(0) + " " + rows.text(1) + " " + rows.text(2) + "\n";
  }
}

Result<void> takeStep(Database& database, int to) {
  const std::string_view step = kSteps.at(static_cast<std::size_t>(to - 1));
  TRY_VOID(database.run("BEGIN IMMEDIATE"));
  Result<void> done =
      database.run(std::string(step) + "PRAGMA user_version = " + std::to_string(to) +
                   "; PRAGMA application_id = " + std::to_string(kApplicationId) + "; COMMIT");
  if (!done) static_cast<void>(database.run("ROLLBACK"));
  return done;
}

Result<void> checkOurs(Database& database, std::int64_t version) {
  if (version > schemaVersion()) {
    return fail(ErrorCode::Conflict, "the ledger has schema version " + std::to_string(version) +
                                         ", written by a newer Berth; this one knows up to version " +
                                         std::to_string(schemaVersion()));
  }
  TRY(const std::int64_t id, database.integer("PRAGMA application_id"));
  TRY(const std::int64_t things, database.integer("SELECT count(*) FROM sqlite_schema"));
  const bool is_new = version == 0 && id == 0 && things == 0;
  if (is_new || (version > 0 && id == kApplicationId)) return {};
  return fail(ErrorCode::Corrupt, "the file is a database, but not a ledger of Berth");
}

}  // namespace

int schemaVersion() { return static_cast<int>(kSteps.size()); }

Result<void> migrate(Database& database) {
  TRY(const std::int64_t version, database.integer("PRAGMA user_version"));
  TRY_VOID(checkOurs(database, version));
  for (int to = static_cast<int>(version) + 1; to <= schemaVersion(); ++to) {
    TRY_VOID(takeStep(database, to).during("schema version " + std::to_string(to)));
  }
  return {};
}

Result<void> checkSchema(Database& database) {
  TRY(Database fresh, Database::open(":memory:", Database::Access::ReadWrite, ""));
  TRY_VOID(migrate(fresh));
  TRY(const std::string expected, schemaText(fresh));
  TRY(const std::string found, schemaText(database));
  if (found == expected) return {};
  return fail(ErrorCode::Corrupt,
              "its tables are not those of schema version " + std::to_string(schemaVersion()));
}

}  // namespace berth::ledger
