// Which GPUs a process sees: NVIDIA_VISIBLE_DEVICES as NVIDIA's container tools read it (rule A10), and
// CUDA_VISIBLE_DEVICES as the CUDA driver does.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace berth::sim {

struct GpuName {
  std::uint32_t index = 0;
  std::string uuid;
};

/// Places in `gpus` that `value` names by index or UUID. Unset, empty or "all": all. "none", "void": none.
std::vector<std::size_t> nvidiaVisible(std::span<const GpuName> gpus, std::optional<std::string_view> value);

/// Places in `gpus` in the order `value` names them, by place or by a UUID's beginning; the first name that
/// is not there ends the list, and so does a repetition. Unset: all.
std::vector<std::size_t> cudaVisible(std::span<const GpuName> gpus, std::optional<std::string_view> value);

}  // namespace berth::sim
