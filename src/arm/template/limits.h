// How much a template may hold. What is past one of these is refused before it can cost memory or stack.
#pragma once

#include <cstddef>
#include <cstdint>

namespace berth::arm_template {

/// Azure's limit for a template and a parameter file together.
inline constexpr std::size_t kMaxTemplateBytes = std::size_t{4} * 1024 * 1024;
inline constexpr std::size_t kMaxDepth = 1000;              // JSON, calls and variables inside each other.
inline constexpr std::size_t kMaxExpressionBytes = 24'576;  // Azure's, of one expression.
inline constexpr std::size_t kMaxParameters = 256;          // Azure's.
inline constexpr std::size_t kMaxVariables = 512;           // Azure's.
inline constexpr std::size_t kMaxResources = 800;           // Azure's; what a copy loop makes counts.
inline constexpr std::size_t kMaxOutputs = 64;              // Azure's.
inline constexpr std::int64_t kMaxCopies = 800;             // Azure's, of one loop.
inline constexpr std::size_t kMaxWorkBytes = std::size_t{64} * 1024 * 1024;  // Of all values made on the way.
inline constexpr std::uint64_t kMaxSteps = 5'000'000;                        // Of evaluating one template.
inline constexpr std::int64_t kMaxRange = 10'000;                            // Azure's, of range().
inline constexpr int kMaxNesting = 5;                                        // Deployments inside each other.

}  // namespace berth::arm_template
