#include "gpu/vfio/move.h"

#include <optional>
#include <set>
#include <utility>

namespace berth::vfio {
namespace {

using ledger::StepState;

/// What the attribute is now; nullopt: there is none.
Result<std::optional<std::string>> current(DeviceSettings& settings, const Step& step) {
  Result<std::string> value = settings.read(step.attribute, step.device);
  if (value) return std::optional<std::string>(*std::move(value));
  if (value.error().code == ErrorCode::NotFound) return std::optional<std::string>();
  return fail(std::move(value).error());
}

Result<void> set(DeviceSettings& settings, const Step& step, Deadline deadline) {
  TRY(const std::optional<std::string> before, current(settings, step));
  if (before == step.to) return {};
  TRY_VOID(settings.write(step.attribute, step.device, step.to, deadline));
  TRY(const std::optional<std::string> after, current(settings, step));
  if (after == step.to) return {};
  return fail(ErrorCode::Io, "the kernel took the order and shows " +
                                 (!after || after->empty() ? std::string("nothing") : *after) +
                                 " afterwards");
}

Result<void> carryOut(JournalEntry entry, DeviceSettings& settings, MoveJournal& journal, Deadline deadline) {
  entry.state = StepState::Intent;
  TRY_VOID(journal.put(entry));
  TRY_VOID(set(settings, entry.step, deadline).during(describe(entry.step)));
  entry.state = StepState::Done;
  return journal.put(entry);
}

/// Persistence mode is the NVIDIA driver's own: where that driver does not have the GPU there is nothing to
/// restore.
bool isMoot(const Step& step, const std::optional<std::string>& now) {
  return !now && step.attribute == Attribute::Persistence;
}

Result<void> undoStep(const Step& step, DeviceSettings& settings, Deadline deadline) {
  TRY(const std::optional<std::string> now, current(settings, step));
  if (isMoot(step, now)) return {};
  // Somebody else's value is not ours to take back: a driver bound by hand, an override of the administrator.
  if (now && *now != step.to) return {};
  const Step undo{step.attribute, step.device, step.to, step.from};
  return set(settings, undo, deadline).during(describe(undo));
}

/// Every failure, first first. A journal that fails keeps no step from being undone: recovery then finds it
/// so.
std::vector<Error> undoAll(const std::vector<JournalEntry>& entries, DeviceSettings& settings,
                           MoveJournal& journal, Deadline deadline) {
  std::vector<Error> failures;
  std::set<PciAddress> left;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (entry->state == StepState::Undone || left.contains(entry->step.device)) continue;
    Result<void> undone = undoStep(entry->step, settings, deadline);
    if (undone) {
      undone = journal.put({entry->seq, entry->step, StepState::Undone});
    } else {
      left.insert(entry->step.device);
    }
    if (!undone) failures.push_back(std::move(undone).error());
  }
  return failures;
}

/// Undoes what take() did before `error` and returns it.
Error rolledBack(Error error, const std::vector<JournalEntry>& done, DeviceSettings& settings,
                 MoveJournal& journal) {
  const Deadline deadline = std::chrono::steady_clock::now() + kUndoTime;
  for (const Error& failure : undoAll(done, settings, journal, deadline)) {
    error.details.push_back({"undo", failure.message, "berth gpu show G says how it stands"});
  }
  return error;
}

}  // namespace

Result<void> take(const std::vector<Step>& steps, DeviceSettings& settings, MoveJournal& journal,
                  const Gate& gate, Deadline deadline) {
  std::vector<JournalEntry> entries;
  bool passed = false;
  for (const Step& step : steps) {
    if (step.attribute == Attribute::Driver && !std::exchange(passed, true)) {
      if (Result<void> open = gate(); !open) {
        return fail(rolledBack(std::move(open).error(), entries, settings, journal));
      }
    }
    entries.push_back({static_cast<int>(entries.size()), step, StepState::Intent});
    if (Result<void> done = carryOut(entries.back(), settings, journal, deadline); !done) {
      return fail(rolledBack(std::move(done).error(), entries, settings, journal));
    }
    entries.back().state = StepState::Done;
  }
  return {};
}

Result<void> giveBack(const std::vector<JournalEntry>& entries, DeviceSettings& settings,
                      MoveJournal& journal, Deadline deadline) {
  std::vector<Error> failures = undoAll(entries, settings, journal, deadline);
  if (failures.empty()) return {};
  return fail(std::move(failures.front()));
}

}  // namespace berth::vfio
