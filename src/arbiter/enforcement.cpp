#include "arbiter/enforcement.h"

#include "arbiter/arbiter.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {

using ledger::Mode;
using ledger::Rung;

Rung computeRung(Mode mode, const Capabilities& capabilities) {
  if (mode == Mode::Mps && capabilities.mps_v3) return Rung::MpsV3;
  if (mode == Mode::Mps && capabilities.mps_v2) return Rung::MpsV2;
  if (mode == Mode::TimeSlice && capabilities.guard) return Rung::Guard;
  return Rung::None;
}

Rung memoryRung(Mode mode, const Capabilities& capabilities) {
  if (mode == Mode::Exclusive) return Rung::None;
  if (capabilities.dmem) return Rung::Dmem;
  if (mode == Mode::Mps && capabilities.mps_v3) return Rung::MpsV3;
  if (mode == Mode::Mps && capabilities.mps_v2) return Rung::MpsV2;
  return capabilities.guard ? Rung::Guard : Rung::None;
}

bool isEnforceable(Percent compute, MiB memory, Mode mode, const Capabilities& capabilities) {
  if (compute.value > 0 && computeRung(mode, capabilities) == Rung::None) return false;
  return memory.value == 0 || memoryRung(mode, capabilities) != Rung::None;
}

void setRungs(ledger::Berth& berth, Mode mode, const Capabilities& capabilities) {
  berth.compute_rung = Rung::None;
  berth.memory_rung = Rung::None;
  // The cap in a container's environment is the MPS v2 server's to keep, whatever else the box has.
  if (berth.thread_percentage.value > 0 && mode == Mode::Mps) berth.compute_rung = Rung::MpsV2;
  if (berth.compute.value > 0) berth.compute_rung = computeRung(mode, capabilities);
  if (berth.memory.value > 0) berth.memory_rung = memoryRung(mode, capabilities);
  berth.best_effort = !isEnforceable(berth.compute, berth.memory, mode, capabilities);
}

}  // namespace berth::arbiter
