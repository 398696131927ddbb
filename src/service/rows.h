// Between the service's records and the ledger's rows: the only place that knows both.
#pragma once

#include "base/error.h"
#include "ledger/ledger.h"
#include "service/desk.h"

namespace berth::service {

/// Reads everything. Corrupt: a row holds what this program never writes (an unknown phase, a spec that is
/// not one).
Result<Book> readBook(ledger::Ledger& ledger);

/// Puts into `transaction` exactly what differs.
Result<void> writeDifference(ledger::Transaction& transaction, const Book& before, const Book& after);

ledger::Event toRow(const Event& event);
Event fromRow(const ledger::Event& row);

}  // namespace berth::service
