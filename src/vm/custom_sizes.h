// The text of Get-HcsVMCustomSizes and Set-HcsVMCustomSizes: JSON but for its single quotes
// (appliance.md 2.4).
//   [{'Name':'Custom_NonGPU','Cores':8,'MemoryMb':14336},{'Name':'Custom_GPU_A2','Cores':8,'MemoryMb':28672,'GpuCount':
//   1}]
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace berth::vm {

inline constexpr std::size_t kMaxCustomSizesText = std::size_t{64} * 1024;

struct CustomSize {
  std::string name;
  int cores = 0;
  MiB memory;
  std::optional<int> gpu_count;
  bool operator==(const CustomSize&) const = default;
};

/// Reads the text with single quotes or as real JSON. InvalidArgument: neither, an unknown or missing key, a
/// value of the wrong type, a name twice, or more than kMaxCustomSizesText bytes; the message says where.
Result<std::vector<CustomSize>> parseCustomSizes(std::string_view text);

enum class CustomSizesStyle : std::uint8_t { Appliance, Json };

/// Prints what parseCustomSizes reads, byte for byte as the appliance does; Json: with double quotes
/// (-JsonFormat).
std::string printCustomSizes(const std::vector<CustomSize>& sizes, CustomSizesStyle style);

}  // namespace berth::vm
