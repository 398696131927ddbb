// How much a manifest may hold. What is past one of these is refused before it can cost memory or stack.
#pragma once

#include <cstddef>

namespace berth::manifest {

inline constexpr std::size_t kMaxFileBytes = 4UL * 1024 * 1024;
inline constexpr std::size_t kMaxDocuments = 256;
inline constexpr int kMaxDepth = 64;  // Lists and maps inside each other.
/// Nodes of a file once its aliases are written out; a node with an anchor counts twice.
inline constexpr std::size_t kMaxNodes = 100'000;
/// Bytes of all keys and scalars, counted like the nodes.
inline constexpr std::size_t kMaxTextBytes = 16UL * 1024 * 1024;
inline constexpr std::size_t kMaxScalarBytes = 1024UL * 1024;
inline constexpr std::size_t kMaxKeyBytes = 1024;
inline constexpr int kMaxPods = 1000;  // Of one workload: replicas, parallelism.

/// `Error::reason` of all refusals by these limits.
inline constexpr const char* kInputTooLarge = "InputTooLarge";

}  // namespace berth::manifest
