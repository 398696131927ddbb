#include "service/submit.h"

#include <algorithm>
#include <utility>

namespace berth::service {
namespace {

/// `state` knows the GPUs.
Accepted acceptedFrom(const arbiter::Plan& plan, const ledger::State& state,
                      const std::vector<std::string>& warnings) {
  Accepted accepted;
  for (const arbiter::Change& change : plan.changes) {
    accepted.changes.push_back(arbiter::describe(change, state));
    if (const auto* grant = std::get_if<arbiter::Grant>(&change)) accepted.berths.push_back(grant->berth);
  }
  accepted.warnings = warnings;
  std::ranges::copy(plan.warnings, std::back_inserter(accepted.warnings));
  return accepted;
}

}  // namespace

Result<Accepted> submitChange(Desk& desk, Operation operation, DryRun dry_run,
                              const std::function<Result<arbiter::Plan>(Draft&, Operation&)>& change) {
  const auto work = [&](Draft& draft) -> Result<Accepted> {
    TRY(const arbiter::Plan plan, change(draft, operation));
    Accepted accepted = acceptedFrom(plan, draft.book.state, operation.warnings);
    operation.warnings = accepted.warnings;
    if (dry_run == DryRun::No) accepted.operation = draft.openOperation(operation);
    return accepted;
  };
  return dry_run == DryRun::Yes ? desk.rehearse(work) : desk.change(work);
}

void append(arbiter::Plan& plan, arbiter::Plan more) {
  std::ranges::move(more.changes, std::back_inserter(plan.changes));
  std::ranges::move(more.warnings, std::back_inserter(plan.warnings));
}

Error nameTaken(const std::string& name, std::string message, std::string remedy) {
  return Error{ErrorCode::Refused,
               "the name " + name + " is taken",
               "NameTaken",
               {{name, std::move(message), std::move(remedy)}}};
}

}  // namespace berth::service
