// Strong types for identifiers and quantities, so that two neighbouring strings cannot be swapped.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace berth {

/// A string with a meaning. Tag makes each use a type of its own.
template <typename Tag>
struct Named {
  Named() = default;
  explicit Named(std::string text) : value(std::move(text)) {}
  std::string value;
  auto operator<=>(const Named&) const = default;
};

using GpuUuid = Named<struct GpuUuidTag>;        // "GPU-5f3c...", as NVML spells it.
using PciAddress = Named<struct PciAddressTag>;  // "0000:3b:00.0": domain of 4 digits, lower case.
using WorkloadName = Named<struct WorkloadNameTag>;
using OperationId = Named<struct OperationIdTag>;  // "op-12".
using ContainerId = Named<struct ContainerIdTag>;  // The engine's id, 64 hex digits.

/// A count of mebibytes; memory shares are granted in these.
struct MiB {
  std::int64_t value = 0;
  auto operator<=>(const MiB&) const = default;
};

/// Whole percent of one GPU's compute, 1 to 100; 0 where no share was stated.
struct Percent {
  int value = 0;
  auto operator<=>(const Percent&) const = default;
};

}  // namespace berth

template <typename Tag>
struct std::hash<berth::Named<Tag>> {
  std::size_t operator()(const berth::Named<Tag>& name) const noexcept {
    return std::hash<std::string>{}(name.value);
  }
};
