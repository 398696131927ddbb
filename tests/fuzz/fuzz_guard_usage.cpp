// Property: whatever a container writes into its usage file, the daemon reads at most kMaxProcesses processes
// with as many GPUs as it asked for, and their sum is never below one of them. An input is a list of patches
// to an empty file: offset (4 bytes, taken modulo its size), length (1), bytes.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "guard/region.h"

namespace {

using namespace berth::guard;  // NOLINT(google-build-using-namespace): a program, not a header

constexpr std::size_t kGpus = 2;

void require(bool holds) {
  if (!holds) std::abort();
}

std::vector<GpuUsage> emptyFile() {
  std::vector<GpuUsage> space(usageBytes(kGpus) / sizeof(GpuUsage) + 1);
  initialiseUsage(*reinterpret_cast<UsageRegion*>(space.data()), kGpus);
  return space;
}

void apply(std::span<std::byte> file, const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHead = 5;
  while (size > kHead) {
    std::uint32_t offset = 0;
    std::memcpy(&offset, data, sizeof offset);
    const std::size_t at = offset % file.size();
    const std::size_t length = std::min<std::size_t>(data[4], size - kHead);
    std::memcpy(&file[at], data + kHead, std::min(length, file.size() - at));
    data += kHead + length;
    size -= kHead + length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<GpuUsage> space = emptyFile();
  const std::span<std::byte> file = std::as_writable_bytes(std::span(space)).first(usageBytes(kGpus));
  apply(file, data, size);
  const auto processes = readUsage(file, kGpus);
  if (!processes) return 0;
  require(processes->size() <= kMaxProcesses);
  for (const ProcessUsage& process : *processes) {
    require(process.slot < kMaxProcesses && process.gpus.size() == kGpus);
    require(process.owner.pid < (1U << SlotOwner::kPidBits));
    require(totalOf(*processes, 1).bytes >= process.gpus[1].bytes);
    require(totalOf(*processes, 1).gpu_ns >= process.gpus[1].gpu_ns);
  }
  return 0;
}
