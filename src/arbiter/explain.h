// Refusals in words: who holds a GPU and which command would free it (B17). Internal to the arbiter.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "arbiter/decision.h"
#include "base/error.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {

/// "GPU 0"
std::string target(const ledger::Gpu& gpu);

/// "container web/0/main", "vm vm1", "reservation vm1"
std::string describe(const ledger::Holder& holder);

/// "container web/0/main and container db/0/main"; past three: "and 2 more".
std::string describeHolders(const std::vector<const ledger::Berth*>& berths);

/// The commands that would end these berths: "berth workload delete web".
std::string remedyFor(const std::vector<const ledger::Berth*>& berths);

/// "20 % compute and 4096 MiB of memory"
std::string describeShare(Percent compute, MiB memory);

/// The detail for one GPU: `berths` are those on it.
ErrorDetail explain(const Decision& decision, std::size_t at, Obstacle obstacle,
                    const std::vector<const ledger::Berth*>& berths);

/// A refusal with one detail for each GPU of the state, in order: `obstacles` says why each was passed over.
Error refuseAll(const Decision& decision, std::string_view reason, std::string message,
                const std::vector<Obstacle>& obstacles);

/// A refusal about one GPU, with the obstacle's reason.
Error refuseOne(const Decision& decision, std::size_t at, Obstacle obstacle, std::string message);

/// Reason UnknownGpu; the details list the GPUs there are.
Error refuseUnknown(const Decision& decision, std::string_view asked_for);

}  // namespace berth::arbiter
