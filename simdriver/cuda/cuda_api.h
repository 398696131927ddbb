// Attributes of the exported functions.
#pragma once

#include "cuda_abi.h"

// NOLINTNEXTLINE(bugprone-macro-parentheses): a linkage specification
#define BERTH_CUDA_API extern "C" __attribute__((visibility("default"))) CUresult
