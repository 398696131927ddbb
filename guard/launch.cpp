#include "guard/launch.h"

#include <algorithm>

namespace berth::guard {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
/// Wall time worth of charges that a thread may keep to itself.
constexpr std::uint64_t kBatchNs = 100'000;
/// A sleeping launch looks this often whether limits have changed or measurements gave something back.
constexpr std::uint64_t kLongestSleep = 5'000'000;
/// How long a second launch of a kernel waits for the measurement of the first, should it never end.
constexpr std::uint64_t kPatience = 1'000'000'000;
constexpr std::uint64_t kShortestPoll = 20'000;
constexpr std::uint64_t kLongestPoll = 1'000'000;
constexpr std::uint64_t kTypicalOf = 8;

/// While another stream is captured, CUDA refuses some calls to everyone but those who say that they know.
class RelaxedCapture {
 public:
  explicit RelaxedCapture(Process& process) noexcept
      : exchange_(process.captures.load(kRelaxed) ? process.driver.exchangeCaptureMode : nullptr) {
    if (exchange_ != nullptr) exchange_(&mode_);
  }
  ~RelaxedCapture() {
    if (exchange_ != nullptr) exchange_(&mode_);
  }
  RelaxedCapture(const RelaxedCapture&) = delete;
  RelaxedCapture& operator=(const RelaxedCapture&) = delete;

 private:
  CUresult (*exchange_)(unsigned*);
  unsigned mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
};

/// Moves a thread's batch to where the others see it.
void flush(Process& process, ThreadState& state, const Rate& rate, std::uint64_t now) noexcept {
  Counters& counters = process.counters(state.batch_gpu);
  counters.launches.fetch_add(state.batch_launches, kRelaxed);
  if (state.batch_ns != 0) {
    counters.gpu_ns.fetch_add(state.batch_ns, kRelaxed);
    if (rate.limited()) {
      TokenBucket(process.usage->gpu(state.batch_gpu)).charge(rate, state.batch_ns, now);
    }
  }
  process.usage->slots[process.slot].seen_ns.store(now, kRelaxed);
  state.batch_ns = 0;
  state.batch_launches = 0;
  state.batch_tick = now;
}

void charge(Process& process, std::uint32_t gpu, const Rate& rate, std::uint64_t gpu_ns,
            std::uint64_t now) noexcept {
  ThreadState& state = thread(process);
  if (state.batch_gpu != gpu) {
    flush(process, state, Rate::of(process.limitsOf(state.batch_gpu)), now);
    state.batch_gpu = gpu;
  }
  state.batch_ns += gpu_ns;
  ++state.batch_launches;
  if (state.batch_tick != now || rate.wallTime(state.batch_ns) > kBatchNs) flush(process, state, rate, now);
}

bool isAlone(const Process& process, std::uint32_t gpu) noexcept {
  return process.limitsOf(gpu).contenders.load(kRelaxed) == 1;
}

/// What a launch is charged before it is measured.
std::uint64_t expected(const Process& process, std::uint32_t gpu, const Cost& cost) noexcept {
  const std::uint64_t known = cost.estimate(isAlone(process, gpu));
  return known != 0 ? known : process.typical_ns.load(kRelaxed);
}

/// Puts right what a launch was charged.
void correct(Process& process, std::uint32_t gpu, std::uint64_t charged, std::uint64_t should) noexcept {
  const Rate rate = Rate::of(process.limitsOf(gpu));
  TokenBucket bucket(process.usage->gpu(gpu));
  if (should >= charged) {
    process.counters(gpu).gpu_ns.fetch_add(should - charged, kRelaxed);
    if (rate.limited()) bucket.charge(rate, should - charged, process.clock->coarse());
  } else {
    process.counters(gpu).gpu_ns.fetch_sub(charged - should, kRelaxed);
    if (rate.limited()) bucket.giveBack(rate, charged - should);
  }
}

void takeIn(Process& process, const Measurement& measurement, std::uint64_t nanoseconds) noexcept {
  Cost& cost = *measurement.cost;
  const std::uint64_t typical = process.typical_ns.load(kRelaxed);
  process.typical_ns.store(typical - typical / kTypicalOf + nanoseconds / kTypicalOf, kRelaxed);
  cost.pending.fetch_sub(1);
  if (cost.key.load(kRelaxed) != measurement.key) return;  // Another kernel has its place by now
  cost.add(nanoseconds, process.clock->coarse());
  correct(process, measurement.gpu, measurement.charged, cost.estimate(isAlone(process, measurement.gpu)));
}

/// A measurement whose launch is over; its events stay for the next.
void collectOne(Process& process, Measurement& measurement) noexcept {
  std::uint32_t running = Measurement::Running;
  if (!measurement.state.compare_exchange_strong(running, Measurement::Busy)) return;
  const CUresult done = process.driver.eventQuery(measurement.stop);
  if (done == CUDA_ERROR_NOT_READY) {
    measurement.state = Measurement::Running;
    return;
  }
  float milliseconds = 0;
  const bool measured =
      done == CUDA_SUCCESS &&
      process.driver.eventElapsedTime(&milliseconds, measurement.start, measurement.stop) == CUDA_SUCCESS;
  if (measured) {
    takeIn(process, measurement, static_cast<std::uint64_t>(static_cast<double>(milliseconds) * 1e6));
  } else {
    measurement.cost->pending.fetch_sub(1);
  }
  measurement.state = Measurement::Free;
}

bool makeEvents(Process& process, Measurement& measurement, CUcontext context) noexcept {
  if (measurement.context == context) return true;
  if (measurement.context != nullptr) {
    process.driver.eventDestroy(measurement.start);
    process.driver.eventDestroy(measurement.stop);
    measurement.context = nullptr;
  }
  if (process.driver.eventCreate(&measurement.start, 0) != CUDA_SUCCESS) return false;
  if (process.driver.eventCreate(&measurement.stop, 0) != CUDA_SUCCESS) {
    process.driver.eventDestroy(measurement.start);
    return false;
  }
  measurement.context = context;
  return true;
}

/// A free measurement with events of this context, Busy. Null: all are in use, or the driver makes no events.
Measurement* takeMeasurement(Process& process, CUcontext context) noexcept {
  for (Measurement& measurement : process.measurements) {
    std::uint32_t free = Measurement::Free;
    if (measurement.state.load(kRelaxed) != Measurement::Free) continue;
    if (!measurement.state.compare_exchange_strong(free, Measurement::Busy)) continue;
    if (makeEvents(process, measurement, context)) return &measurement;
    measurement.state = Measurement::Free;
    return nullptr;
  }
  return nullptr;
}

bool canMeasure(const Driver& driver) noexcept {
  return driver.eventCreate != nullptr && driver.eventDestroy != nullptr && driver.eventRecord != nullptr &&
         driver.eventQuery != nullptr && driver.eventElapsedTime != nullptr;
}

/// Waits while ready() says no, for kPatience at most; collects what is complete meanwhile.
template <typename Ready>
bool waitUntil(Process& process, Ready ready) noexcept {
  const std::uint64_t began = process.clock->now();
  std::uint64_t poll = kShortestPoll;
  while (!ready()) {
    if (process.clock->now() - began > kPatience) return false;
    process.clock->sleep(poll);
    poll = std::min(poll * 2, kLongestPoll);
    collect(process);
  }
  return true;
}

/// Begins to measure a launch on the stream. A kernel that was never measured waits for a free measurement.
Measurement* beginMeasurement(Process& process, Cost& cost, std::uint32_t gpu, CUstream stream,
                              std::uint64_t charged) noexcept {
  if (!canMeasure(process.driver)) return nullptr;
  CUcontext context = nullptr;
  if (process.driver.ctxGetCurrent(&context) != CUDA_SUCCESS) return nullptr;
  Measurement* measurement = takeMeasurement(process, context);
  if (measurement == nullptr && !cost.known()) {
    waitUntil(process, [&] { return (measurement = takeMeasurement(process, context)) != nullptr; });
  }
  if (measurement == nullptr) return nullptr;
  if (process.driver.eventRecord(measurement->start, stream) != CUDA_SUCCESS) {
    measurement->state = Measurement::Free;
    return nullptr;
  }
  measurement->gpu = gpu;
  measurement->cost = &cost;
  measurement->key = cost.key.load(kRelaxed);
  measurement->charged = charged;
  cost.pending.fetch_add(1);
  return measurement;
}

/// Sleeps until all that the container was charged is paid off.
void waitForShare(Process& process, std::uint32_t gpu) noexcept {
  const std::uint64_t began = process.clock->now();
  std::uint64_t now = began;
  std::uint64_t until = began;
  for (;; now = process.clock->now()) {
    const Rate rate = Rate::of(process.limitsOf(gpu));
    TokenBucket bucket(process.usage->gpu(gpu));
    if (!rate.limited()) break;
    bucket.adopt(rate, now);
    // Having to wait at all, it waits for its turn.
    if (const std::uint64_t wait = bucket.wait(now); wait != 0) until = rate.nextTurn(now + wait);
    if (until <= now) break;
    process.clock->sleep(std::min(until - now, kLongestSleep));
    collect(process);
  }
  process.counters(gpu).throttled_ns.fetch_add(now - began, kRelaxed);
}

}  // namespace

std::uint64_t threadsOf(const unsigned (&grid)[3], const unsigned (&block)[3]) noexcept {
  const std::uint64_t blocks = std::uint64_t{grid[0]} * grid[1] * grid[2];
  const std::uint64_t threads = std::uint64_t{block[0]} * block[1] * block[2];
  return blocks * 1025 + threads;  // A block has 1024 threads at most
}

void collect(Process& process) noexcept {
  const RelaxedCapture relaxed(process);
  for (Measurement& measurement : process.measurements) {
    if (measurement.state.load(kRelaxed) == Measurement::Running) collectOne(process, measurement);
  }
}

Permit admit(Process& process, std::uint32_t gpu, const Rate& rate, std::uint64_t key,
             CUstream stream) noexcept {
  std::uint64_t now = process.clock->coarse();
  if (process.usage->gpu(gpu).paid_permille.load(kRelaxed) != rate.permille ||
      TokenBucket(process.usage->gpu(gpu)).wait(now) != 0) {
    waitForShare(process, gpu);
    now = process.clock->coarse();
  }
  Cost& cost = process.costs.of(key);
  if (!cost.due(now)) {
    charge(process, gpu, rate, expected(process, gpu, cost), now);
    return {};
  }
  collect(process);
  if (!cost.known() && cost.pending.load() != 0) {
    const std::uint64_t began = process.clock->now();
    if (!waitUntil(process, [&cost] { return cost.pending.load() == 0; })) {
      cost.assume(process.clock->now() - began);
    }
    waitForShare(process, gpu);
  }
  const std::uint64_t charged = expected(process, gpu, cost);
  charge(process, gpu, rate, charged, now);
  const RelaxedCapture relaxed(process);
  return {beginMeasurement(process, cost, gpu, stream, charged)};
}

void finish(Process& process, const Permit& permit, CUstream stream, CUresult result) noexcept {
  Measurement& measurement = *permit.measurement;
  const RelaxedCapture relaxed(process);
  if (result == CUDA_SUCCESS && process.driver.eventRecord(measurement.stop, stream) == CUDA_SUCCESS) {
    measurement.state.store(Measurement::Running, std::memory_order_release);
    return;
  }
  measurement.cost->pending.fetch_sub(1);
  correct(process, measurement.gpu, measurement.charged, 0);
  measurement.state = Measurement::Free;
}

void forgetMeasurements(Process& process, std::uint64_t context) noexcept {
  for (Measurement& measurement : process.measurements) {
    std::uint32_t seen = Measurement::Running;
    const bool running = measurement.state.compare_exchange_strong(seen, Measurement::Busy);
    if (!running &&
        (seen != Measurement::Free || !measurement.state.compare_exchange_strong(seen, Measurement::Busy))) {
      continue;  // Its launch is under way in another thread, which will see its failure
    }
    const bool gone = reinterpret_cast<std::uint64_t>(measurement.context) == context;
    if (gone) measurement.context = nullptr;  // Its events went with it
    if (gone && running) measurement.cost->pending.fetch_sub(1);
    measurement.state = running && !gone ? Measurement::Running : Measurement::Free;
  }
}

bool isCaptured(Process& process, CUstream stream) noexcept {
  if (!process.captures.load(kRelaxed) || process.driver.streamIsCapturing == nullptr) return false;
  unsigned status = CU_STREAM_CAPTURE_STATUS_NONE;
  return process.driver.streamIsCapturing(stream, &status) == CUDA_SUCCESS &&
         status != CU_STREAM_CAPTURE_STATUS_NONE;
}

}  // namespace berth::guard
