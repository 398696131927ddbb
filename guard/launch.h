// Launches: counted, and held back while the container is over its share (guard/pacing.h).
#pragma once

#include <cstdint>

#include "guard/pacing.h"
#include "guard/process.h"

namespace berth::guard {

/// What is launched, for the table of costs: launches with the same key take about the same time.
inline std::uint64_t launchKey(const void* what, std::uint64_t threads) noexcept {
  return reinterpret_cast<std::uint64_t>(what) ^ (threads * 0xff51afd7ed558ccd);
}
std::uint64_t threadsOf(const unsigned (&grid)[3], const unsigned (&block)[3]) noexcept;

/// A launch that may start. `measurement` is null when it is not measured.
struct Permit {
  Measurement* measurement = nullptr;
};

/// Counts one launch that no limit holds back. Not exact when threads launch at once, and cheaper than a call
/// by far.
inline void countLaunch(Counters& counters) noexcept {
  counters.launches.store(counters.launches.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}
/// Waits until the launch may start and charges it. On `stream` an event is recorded when it is to be
/// measured.
Permit admit(Process& process, std::uint32_t gpu, const Rate& rate, std::uint64_t key,
             CUstream stream) noexcept;
/// The launch was made, or failed.
void finish(Process& process, const Permit& permit, CUstream stream, CUresult result) noexcept;
/// Takes in the measurements that are complete.
void collect(Process& process) noexcept;
/// Drops the measurements of a context that is gone.
void forgetMeasurements(Process& process, std::uint64_t context) noexcept;
/// Whether the stream is being captured: what is launched there runs later, in a graph.
bool isCaptured(Process& process, CUstream stream) noexcept;

/// Launches by call(), held back by the limit of the GPU of the current context.
template <typename Call>
CUresult launchLimited(Process& process, std::uint64_t key, CUstream stream, Call call) noexcept {
  const Inside inside(thread(process));
  if (!inside.outermost) return call();
  Place place;
  if (currentPlace(process, place) != CUDA_SUCCESS) return call();  // The driver says what is wrong
  const Rate rate = Rate::of(process.limitsOf(place.gpu));
  if (!rate.limited() || isCaptured(process, stream)) {
    countLaunch(process.counters(place.gpu));
    return call();
  }
  const Permit permit = admit(process, place.gpu, rate, key, stream);
  const CUresult result = call();
  if (permit.measurement != nullptr) finish(process, permit, stream, result);
  return result;
}

/// The same, where every nanosecond counts: no limit, one GPU. key() is asked for only where it is needed.
template <typename Key, typename Call>
CUresult launch(Process& process, Key key, CUstream stream, Call call) noexcept {
  const bool limits = (process.limits->enforced.load(std::memory_order_relaxed) & kEnforceCompute) != 0;
  if (limits || process.limits->gpu_count != 1) return launchLimited(process, key(), stream, call);
  countLaunch(*process.first_counters);
  return call();
}

}  // namespace berth::guard
