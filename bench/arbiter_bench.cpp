// How long one decision takes (design 12): under 2 µs on 2 GPUs, under 100 µs on 1,024 GPUs with 16,000
// berths, growing no faster than n log n.
#include <benchmark/benchmark.h>

#include "arbiter/arbiter.h"
#include "arbiter/occupancy.h"
#include "busy_device.h"
#include "ledger/state.h"

namespace {

using namespace berth;

using bench::busyDevice;
using bench::shareClaim;

void expectGrant(benchmark::State& run, const Result<arbiter::Plan>& plan) {
  if (!plan || plan->changes.empty()) run.SkipWithError("the claim was not granted");
}

/// As the daemon decides on a big device: with the index beside the state.
void DecisionByIndex(benchmark::State& run) {
  const ledger::State state = busyDevice(static_cast<int>(run.range(0)));
  const arbiter::Occupancy occupancy(state);
  const arbiter::Request request = shareClaim();
  const arbiter::Policy policy;
  expectGrant(run, arbiter::decide(state, occupancy, request, policy));
  for (auto step : run) {
    benchmark::DoNotOptimize(arbiter::decide(state, occupancy, request, policy));
  }
  run.SetComplexityN(run.range(0));
}
BENCHMARK(DecisionByIndex)->Arg(2)->Arg(64)->Arg(1024)->Complexity(benchmark::oNLogN);

/// The reference: the same answer by walking all berths.
void DecisionByWalk(benchmark::State& run) {
  const ledger::State state = busyDevice(static_cast<int>(run.range(0)));
  const arbiter::Request request = shareClaim();
  const arbiter::Policy policy;
  expectGrant(run, arbiter::decide(state, request, policy));
  for (auto step : run) benchmark::DoNotOptimize(arbiter::decide(state, request, policy));
  run.SetComplexityN(run.range(0));
}
BENCHMARK(DecisionByWalk)->Arg(2)->Arg(64)->Arg(1024)->Complexity(benchmark::oNLogN);

}  // namespace
