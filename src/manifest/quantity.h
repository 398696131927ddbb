// Kubernetes quantities: "128Mi", "1Gi", "200m", "1e3". Grammar: apimachinery's resource.Quantity.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace berth::manifest {

/// A non-negative quantity, rounded up.
struct Quantity {
  std::int64_t whole = 0;        // Rounded up to whole units.
  std::int64_t thousandths = 0;  // Rounded up to 1/1000; what CPUs are counted in.
  bool exact = true;             // `whole` is the quantity itself.
};

/// Nothing for what is not a quantity, is negative, or has more than 18 digits or 2^63-1 thousandths.
std::optional<Quantity> parseQuantity(std::string_view text);

}  // namespace berth::manifest
