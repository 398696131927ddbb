// Which function answers to a driver API name at a CUDA version: what cuGetProcAddress looks up. The table is
// symbols.inc; a function that it names and nobody defines is a link error.
#pragma once

#include <cstdint>
#include <string_view>

#include "cuda_abi.h"

namespace berth::sim::cu {

struct Symbol {
  std::string_view name;  // As the headers call it: "cuMemAlloc"
  int version;            // CUDA version that brought this form of it, 3020 for 3.2
  void (*function)();
  void (*per_thread)();  // The form for the per-thread default stream, or null
};

struct SymbolSearch {
  const Symbol* symbol = nullptr;
  CUdriverProcAddressQueryResult result = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
};

/// The newest form of `name` that `version` knows.
SymbolSearch findSymbol(std::string_view name, int version);

}  // namespace berth::sim::cu
