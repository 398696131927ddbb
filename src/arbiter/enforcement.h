// Which mechanism enforces a limit in which mode (B15, design 5).
#pragma once

#include "arbiter/arbiter.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {

/// The strongest rung for a compute share in `mode`, None when there is none.
ledger::Rung computeRung(ledger::Mode mode, const Capabilities& capabilities);

/// The strongest rung for a memory share in `mode`, None when there is none.
ledger::Rung memoryRung(ledger::Mode mode, const Capabilities& capabilities);

/// True when every limit that is stated (not 0) has a rung.
bool isEnforceable(Percent compute, MiB memory, ledger::Mode mode, const Capabilities& capabilities);

/// Sets the rungs of `berth`, and best_effort when a limit it states has none.
void setRungs(ledger::Berth& berth, ledger::Mode mode, const Capabilities& capabilities);

}  // namespace berth::arbiter
