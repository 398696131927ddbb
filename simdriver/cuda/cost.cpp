#include "cost.h"

#include <algorithm>

namespace berth::sim::cu {
namespace {

double product(const Extent& extent) {
  return static_cast<double>(extent[0]) * static_cast<double>(extent[1]) * static_cast<double>(extent[2]);
}

/// `flop` against what the whole GPU does, on the SMs that `blocks` can fill.
Work arithmeticWork(const Profile& profile, double flop, double blocks) {
  const double sms = static_cast<double>(profile.sm_count);
  const double max_sms = std::clamp(blocks, 1.0, std::max(sms, 1.0));
  const double ns_on_whole_gpu = profile.gflops_fp32 > 0 ? flop / profile.gflops_fp32 : 0;
  return {std::max(ns_on_whole_gpu * sms, kLaunchFloorNs * max_sms), max_sms};
}

}  // namespace

double memoryBandwidth(const Profile& profile) {
  return std::max(1.0, static_cast<double>(profile.memory_clock_mhz) * 1e6 * 2.0 *
                           (static_cast<double>(profile.memory_bus_bits) / 8.0) / 1e9);
}

Work kernelWork(const Profile& profile, const CostHint& hint, const Extent& grid, const Extent& block) {
  const double blocks = product(grid);
  const double threads = blocks * product(block);
  Work work = arithmeticWork(profile, threads * hint.flop_per_thread.value_or(kDefaultFlopPerThread), blocks);
  if (hint.max_sms) work.max_sms = std::clamp(*hint.max_sms, 1.0, work.max_sms);
  if (hint.bytes_per_thread) {
    const double ns = threads * *hint.bytes_per_thread / memoryBandwidth(profile);
    work.sm_ns = std::max(work.sm_ns, ns * work.max_sms);
  }
  if (hint.nanoseconds) work.sm_ns = *hint.nanoseconds * work.max_sms;
  return work;
}

Work nbodyWork(const Profile& profile, std::uint64_t bodies, const Extent& grid) {
  const double count = static_cast<double>(bodies);
  return arithmeticWork(profile, count * count * kFlopPerInteraction, product(grid));
}

Work copyWork(const Profile& profile, std::uint64_t bytes, bool host_side) {
  // A copy inside the device reads and writes each byte.
  const double rate = host_side ? kHostLinkBytesPerNs : memoryBandwidth(profile) / 2;
  return {kCopyFloorNs + static_cast<double>(bytes) / rate, 1.0};
}

}  // namespace berth::sim::cu
