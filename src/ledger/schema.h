// The ledger's tables, as the list of steps from one version to the next. Internal to the ledger.
#pragma once

#include <string>

#include "base/error.h"
#include "ledger/sqlite.h"

namespace berth::ledger {

/// The version this program writes. A step is never changed once released; a new one is appended.
int schemaVersion();

/// "Brth": marks a file as ours.
inline constexpr int kApplicationId = 0x42727468;

/// Brings the database to schemaVersion(), each step in a transaction of its own. Conflict: it was written by
/// a newer Berth (both versions named), or it is somebody else's database.
Result<void> migrate(Database& database);

/// Corrupt: the tables are not, to the letter, those that the steps make.
Result<void> checkSchema(Database& database);

}  // namespace berth::ledger
