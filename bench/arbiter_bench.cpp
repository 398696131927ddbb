// How long one decision takes (design 12): under 2 µs on 2 GPUs, under 100 µs on 1,024 GPUs with 16,000
// berths, growing no faster than n log n.
#include <algorithm>
#include <cstddef>
#include <string>

#include <benchmark/benchmark.h>

#include "arbiter/arbiter.h"
#include "arbiter/occupancy.h"
#include "base/types.h"
#include "ledger/state.h"

namespace {

using namespace berth;

constexpr int kBerthsPerGpu = 16;
constexpr int kMostBerths = 16'000;

/// GPUs with 15 or 16 shares of 5 % on each, up to 16,000 in all.
ledger::State busyDevice(int gpus) {
  ledger::State state;
  for (int i = 0; i < gpus; ++i) {
    ledger::Gpu gpu;
    gpu.index = i;
    gpu.uuid = GpuUuid{"GPU-5f3c1a2b-0000-4000-8000-" + std::to_string(100000000000 + i)};
    gpu.pci = PciAddress{"0000:" + std::to_string(i) + ":00.0"};
    gpu.memory = MiB{15360};
    gpu.mode = ledger::Mode::Mps;
    gpu.owner.kind = ledger::OwnerKind::Local;
    state.gpus.push_back(gpu);
  }
  const int berths = std::min(gpus * kBerthsPerGpu, kMostBerths);
  for (int i = 0; i < berths; ++i) {
    ledger::Berth berth;
    berth.id = i + 1;
    berth.gpu = state.gpus[static_cast<std::size_t>(i % gpus)].uuid;
    berth.holder = {ledger::HolderKind::Container, "workload-" + std::to_string(i) + "/0/main"};
    berth.compute = Percent{5};
    berth.memory = MiB{500};
    state.berths.push_back(berth);
  }
  state.next_berth = berths + 1;
  return state;
}

arbiter::Request shareClaim() {
  arbiter::ContainerClaim claim;
  claim.holder = {ledger::HolderKind::Container, "newcomer/0/main"};
  claim.compute = Percent{10};
  claim.memory = MiB{1024};
  return arbiter::ClaimContainers{{claim}};
}

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
