// How every change is submitted: decided on a draft, committed with its operation, or only rehearsed.
#pragma once

#include <functional>

#include "service/service.h"

namespace berth::service {

/// Runs `change` on a draft; its plan and the operation's warnings become what the caller gets. With
/// DryRun::No the operation is opened in the same commit.
Result<Accepted> submitChange(Desk& desk, Operation operation, DryRun dry_run,
                              const std::function<Result<arbiter::Plan>(Draft&, Operation&)>& change);

/// `more` behind what `plan` has.
void append(arbiter::Plan& plan, arbiter::Plan more);

/// Refused, reason NameTaken.
Error nameTaken(const std::string& name, std::string message, std::string remedy);

}  // namespace berth::service
