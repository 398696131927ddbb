// Copies and fills over host memory, device memory and arrays: one form, CUDA_MEMCPY3D, for all of them.
#pragma once

#include <cstddef>
#include <optional>

#include "driver.h"

namespace berth::sim::cu {

/// A copy of `rows` x `slices` rows of `row_bytes`, resolved to addresses.
struct ResolvedCopy {
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  std::size_t row_bytes = 0;
  std::size_t rows = 0;
  std::size_t slices = 0;
  std::size_t from_pitch = 0;
  std::size_t from_slice = 0;
  std::size_t to_pitch = 0;
  std::size_t to_slice = 0;
  bool from_host = false;
  bool to_host = false;

  std::size_t bytes() const { return row_bytes * rows * slices; }
};

/// Checks the request against what is allocated. CUDA_ERROR_INVALID_VALUE for a range that is not, or a pitch
/// smaller than a row.
CUresult resolveCopy(const Driver& driver, const CUDA_MEMCPY3D& request, ResolvedCopy& resolved);
void runCopy(const ResolvedCopy& copy);

/// Checks and carries out a fill.
CUresult checkFill(const Driver& driver, const CUDA_MEMSET_NODE_PARAMS& request);
void runFill(const CUDA_MEMSET_NODE_PARAMS& request);

/// The request for a plain copy of `bytes`.
CUDA_MEMCPY3D linearCopy(void* to, CUmemorytype to_type, const void* from, CUmemorytype from_type,
                         std::size_t bytes);

}  // namespace berth::sim::cu
