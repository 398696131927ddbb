// The journal of a GPU's move: its steps with how far each has come. As text it is what the ledger keeps, one
// step a line: "3 done driver 0000:3b:00.0 vfio-pci<tab>driver 0000:3b:00.0 -".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "gpu/vfio/step.h"
#include "ledger/records.h"

namespace berth::vfio {

/// One step as the journal has it.
struct JournalEntry {
  int seq = 0;
  Step step;
  ledger::StepState state = ledger::StepState::Intent;
  bool operator==(const JournalEntry&) const = default;
};

/// Where steps are remembered; the ledger's journal of moves behind it.
class MoveJournal {
 public:
  virtual ~MoveJournal() = default;
  /// Adds or rewrites the entry of that number. On disk before it returns.
  virtual Result<void> put(const JournalEntry& entry) = 0;
};

std::string encodeJournal(const std::vector<JournalEntry>& entries);

/// Corrupt: a line that encodeJournal does not write, named by its number, or numbers out of order.
Result<std::vector<JournalEntry>> decodeJournal(std::string_view text);

/// True when something is left to undo.
bool isPending(const std::vector<JournalEntry>& entries);

/// True when every step was done and none undone: the devices are where the move was to bring them.
bool isComplete(const std::vector<JournalEntry>& entries);

}  // namespace berth::vfio
