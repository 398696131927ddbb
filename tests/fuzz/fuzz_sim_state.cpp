// Property: whatever a container writes into a GPU's state file, whoever takes its lock gets figures in
// range, in bounded time. An input is a list of patches: offset (4 bytes), how often (1), length (1), bytes;
// the offset is taken modulo the file's size, the repetitions are one stream apart.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "engine/gpu.h"
#include "engine/profile.h"
#include "engine/state_folder.h"

namespace {

using namespace berth::sim;  // NOLINT(google-build-using-namespace): a program, not a header

void require(bool holds) {
  if (!holds) std::abort();
}

Profile smallGpu() {
  Profile profile;
  profile.key = "fuzz";
  profile.name = "Fuzz";
  profile.sm_count = 40;
  profile.compute_major = 7;
  profile.memory_bytes = 1ULL << 34U;
  profile.power_limit_mw = 70'000;
  profile.gflops_fp32 = 1;
  profile.slice_ns = 2'000'000;
  profile.switch_ns = 199'000;
  return profile;
}

/// One file for the whole run: open state files are never closed.
std::shared_ptr<StateFile> openFile() {
  const std::string name = std::filesystem::temp_directory_path() / ("fuzz-" + std::to_string(::getpid()));
  std::shared_ptr<StateFile> file;
  require(StateFile::create(name, identityOf(smallGpu(), 0)).has_value());
  require(StateFile::open(name, file) == Status::Ok);
  std::filesystem::remove(name);
  return file;
}

void apply(GpuState& state, const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kHead = 6;
  auto* bytes = reinterpret_cast<std::uint8_t*>(&state);
  while (size > kHead) {
    std::uint32_t offset = 0;
    std::memcpy(&offset, data, sizeof offset);
    const std::size_t times = data[4];
    const std::size_t length = std::min<std::size_t>(data[5], size - kHead);
    for (std::size_t i = 0; i <= times; ++i) {
      const std::size_t at = (offset + i * sizeof(StreamState)) % (sizeof(GpuState) - 256);
      std::memcpy(bytes + at, data + kHead, length);
    }
    data += kHead + length;
    size -= kHead + length;
  }
}

void use(LockedGpu& gpu) {
  const std::uint64_t total = smallGpu().memory_bytes;
  require(gpu.usedBytes() <= total && gpu.usedBytes() + gpu.freeBytes() == total);
  const Telemetry telemetry = gpu.telemetry();
  require(telemetry.utilisation >= 0 && telemetry.utilisation <= 1);
  require(telemetry.power_mw <= 70'000 && telemetry.temperature_c <= 150);
  for (const ClientView& client : gpu.clients()) {
    require(client.utilisation >= 0 && client.utilisation <= 1 && client.thread_percent <= 100);
  }
  static_cast<void>(gpu.event(gpu.lastEvent()));
  for (std::uint32_t i = 0; i < kMaxClients; ++i) static_cast<void>(gpu.model().earliestIdle(i));
  std::uint32_t slot = 0;
  if (gpu.admit({}, slot) != Status::Ok) return;
  if (const auto stream = gpu.model().openStream(slot, 0)) {
    const auto sequence = gpu.model().push(*stream, 1e6, 40);
    require(sequence == 1U && !gpu.model().done(*stream, 1));
  }
  gpu.leave(slot);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::shared_ptr<StateFile> file = openFile();
  static const auto clean = std::make_unique<GpuState>(file->state());
  std::memcpy(&file->state(), clean.get(), sizeof(GpuState));
  apply(file->state(), data, size);
  LockedGpu gpu(*file);
  require(gpu.status() == Status::Ok);
  use(gpu);
  return 0;
}
