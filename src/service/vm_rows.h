// VMs and images between the book and the ledger's rows.
#pragma once

#include "base/error.h"
#include "ledger/ledger.h"
#include "service/desk.h"

namespace berth::service {

/// Corrupt: a row holds what this program never writes.
Result<void> readVms(ledger::Ledger& ledger, Book& book);

/// Puts into `transaction` exactly what differs.
Result<void> writeVms(ledger::Transaction& transaction, const Book& before, const Book& after);

/// A record as its row and back.
ledger::VmRecord toRow(const VmRecord& vm);
Result<VmRecord> fromRow(const ledger::VmRecord& row);
ledger::ImageRecord toRow(const ImageRecord& image);
Result<ImageRecord> fromRow(const ledger::ImageRecord& row);

}  // namespace berth::service
