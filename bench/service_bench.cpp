// How long the desk takes for a decision on a big device: the decision by the index, its events, the plan
// applied to the draft and to the index (design 12: under 100 µs on 1,024 GPUs with 16,000 berths). And what
// a whole rehearsal
// (`berth plan`) takes there, which copies the book first.
#include <chrono>
#include <utility>

#include <benchmark/benchmark.h>

#include "arbiter/occupancy.h"
#include "busy_device.h"
#include "service/desk.h"

namespace {

using namespace berth;
using std::chrono::steady_clock;

service::Book busyBook(int gpus) {
  service::Book book;
  book.state = bench::busyDevice(gpus);
  book.occupancy = arbiter::Occupancy(book.state);
  return book;
}

/// Decides in a fresh draft; the seconds it took, with or without making the draft.
template <bool WithDraft>
void decideInDraft(benchmark::State& run) {
  const service::Book book = busyBook(static_cast<int>(run.range(0)));
  const arbiter::Request request = bench::shareClaim();
  for (auto step : run) {
    const auto begin = steady_clock::now();
    service::Draft draft(book, service::WallTime{});
    const auto made = steady_clock::now();
    const auto plan = draft.decide(request, {});
    const std::chrono::duration<double> took = steady_clock::now() - (WithDraft ? begin : made);
    if (!plan || plan->changes.empty()) run.SkipWithError("the claim was not granted");
    run.SetIterationTime(took.count());
  }
}

void DecisionAtTheDesk(benchmark::State& run) { decideInDraft<false>(run); }
BENCHMARK(DecisionAtTheDesk)->Arg(2)->Arg(1024)->Iterations(50)->UseManualTime();

void Rehearsal(benchmark::State& run) { decideInDraft<true>(run); }
BENCHMARK(Rehearsal)->Arg(2)->Arg(1024)->Iterations(50)->UseManualTime();

}  // namespace
