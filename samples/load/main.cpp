// load: the load generator. Each stream is a thread that takes the next request when it is due, runs it and
// writes down how long it took since then: in an open loop, requests that had to wait count as late as they
// are.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "../common/cuda.h"
#include "arrivals.h"
#include "gpu_load.h"
#include "options.h"
#include "report.h"

namespace {

using namespace berth::samples;
using Clock = std::chrono::steady_clock;

Nanoseconds milliseconds(double value) { return Nanoseconds(static_cast<std::int64_t>(value * 1e6)); }
double seconds(Nanoseconds value) { return static_cast<double>(value.count()) / 1e9; }

/// What the threads share. Times are from `start`.
struct Run {
  const LoadOptions& options;
  Clock::time_point start;
  Nanoseconds measured_from;
  Nanoseconds end;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> taken{0};    // Requests begun
  std::atomic<std::uint32_t> working{0};  // Streams that go on

  std::mutex mutex;
  std::optional<Arrivals> arrivals;  // Of an open loop
  std::vector<Request> requests;
  std::string error;  // The first

  Nanoseconds now() const { return Clock::now() - start; }
};

Windows windowsOf(const LoadOptions& options) {
  return {milliseconds(options.on_ms), milliseconds(options.off_ms)};
}

/// When the stream's next request is due.
Nanoseconds nextDue(Run& run) {
  if (!run.arrivals) return windowsOf(run.options).next(run.now());
  const std::lock_guard lock(run.mutex);
  return run.arrivals->next();
}

/// False when the load ends before.
bool waitUntil(const Run& run, Nanoseconds due) {
  constexpr Nanoseconds kLook = std::chrono::milliseconds(50);  // At whether the load was stopped
  while (!run.stop && due < run.end) {
    const Nanoseconds left = due - run.now();
    if (left.count() <= 0) return run.now() < run.end;
    std::this_thread::sleep_for(std::min(left, kLook));
  }
  return false;
}

/// Takes one more of the requests there are to be.
bool takeOne(Run& run) { return run.options.requests == 0 || run.taken.fetch_add(1) < run.options.requests; }

void work(Run& run, const GpuLoad& load) {
  try {
    load.enter();
    LoadStream stream(load);
    std::vector<Request> requests;
    for (Nanoseconds due = nextDue(run); waitUntil(run, due) && takeOne(run); due = nextDue(run)) {
      const double gpu_ms = stream.run();
      const Nanoseconds done = run.now();
      if (done < run.measured_from) continue;
      requests.push_back({seconds(done - run.measured_from), seconds(done - due) * 1e3, gpu_ms});
    }
    const std::lock_guard lock(run.mutex);
    run.requests.insert(run.requests.end(), requests.begin(), requests.end());
  } catch (const CallError& failure) {
    run.stop = true;
    const std::lock_guard lock(run.mutex);
    if (run.error.empty()) run.error = failure.message;
  }
  run.working.fetch_sub(1);
}

/// Requests that were due before `until` and that nobody took any more.
std::uint64_t stillDue(Run& run, Nanoseconds until) {
  if (!run.arrivals) return 0;
  constexpr std::uint64_t kMost = 10'000'000;
  std::uint64_t count = 0;
  while (count < kMost && run.arrivals->next() < until) ++count;
  return count;
}

/// Until the load has run its time or a signal ends it; true for a signal.
bool sleepUnlessStopped(const Run& run, const sigset_t& signals) {
  constexpr long kLookNs = 20'000'000;
  while (!run.stop && run.working != 0 && run.now() < run.end) {
    const Nanoseconds left = run.end - run.now();
    const timespec pause{0, std::clamp<long>(left.count(), 1, kLookNs)};
    if (::sigtimedwait(&signals, nullptr, &pause) > 0) return true;
  }
  return false;
}

int generate(const Cuda& cuda, const LoadOptions& options) {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const GpuLoad load(cuda, options);
  const Nanoseconds warmup = milliseconds(options.warmup_s * 1e3);
  Run run{options,
          Clock::now(),
          warmup,
          warmup + milliseconds(options.duration_s * 1e3),
          {},
          0,
          options.streams,
          {},
          {},
          {},
          {}};
  if (options.arrival != Arrival::Closed)
    run.arrivals.emplace(options.arrival == Arrival::Poisson, options.rate, options.seed, windowsOf(options));
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < options.streams; ++i) threads.emplace_back([&] { work(run, load); });
    if (sleepUnlessStopped(run, signals)) run.stop = true;
  }
  if (!run.error.empty()) throw CallError{run.error};
  const Nanoseconds ended = run.now();
  const RunFacts facts{load.deviceName(), load.sms(), load.iterations(),
                       std::max(0.0, seconds(ended - run.measured_from)),
                       stillDue(run, std::min(ended, run.end))};
  const Summary summary = summarise(options, facts, run.requests);
  const std::string report =
      options.json ? asJson(options, facts, summary) + "\n" : asText(options, facts, summary);
  std::fputs(report.c_str(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const LoadOptions options = parseLoadOptions({argv + 1, argv + argc});
  if (!options.error.empty()) {
    std::fprintf(stderr, "load: %s\nTry 'load --help'.\n", options.error.c_str());
    return 2;
  }
  if (options.help) {
    std::fputs(kLoadUsage, stdout);
    return 0;
  }
  std::string error;
  const std::optional<Cuda> cuda = loadCuda(error);
  if (!cuda) {
    std::fprintf(stderr, "load: no CUDA driver: %s\n", error.c_str());
    return 1;
  }
  try {
    return generate(*cuda, options);
  } catch (const CallError& failure) {
    std::fprintf(stderr, "load: %s\n", failure.message.c_str());
    return 1;
  }
}
