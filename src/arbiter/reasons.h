// The stable reasons of the arbiter's refusals (B17). Programs compare these; they never change.
#pragma once

#include <string_view>

namespace berth::arbiter::reasons {

/// Fewer GPUs can be had than the claim needs, each for its own reason: see the details.
inline constexpr std::string_view kInsufficientGpu = "InsufficientGpu";
/// No GPU of the device has that index, UUID or address.
inline constexpr std::string_view kUnknownGpu = "UnknownGpu";
/// A10: NVIDIA_VISIBLE_DEVICES=all where several GPUs could be meant.
inline constexpr std::string_view kMultipleGpusByName = "MultipleGpusByName";
/// B13: one container has the GPU whole, or its mode is exclusive and the claim is not for all of it.
inline constexpr std::string_view kGpuExclusive = "GpuExclusive";
/// Berths are on the GPU that must be idle for this.
inline constexpr std::string_view kGpuInUse = "GpuInUse";
inline constexpr std::string_view kGpuOwnedByVm = "GpuOwnedByVm";
/// Kubernetes owns the GPU and `berth kubernetes release` would free it (A5).
inline constexpr std::string_view kGpuOwnedByKubernetes = "GpuOwnedByKubernetes";
/// B18: a kubelet is attached, so the GPU is the cluster's to give.
inline constexpr std::string_view kGpuOwnedByCluster = "GpuOwnedByCluster";
/// B7: a deallocated VM has lent the GPU, to containers only.
inline constexpr std::string_view kGpuLent = "GpuLent";
/// B7: the VM that lent the GPU wants it back.
inline constexpr std::string_view kGpuRecalled = "GpuRecalled";
/// Berth's own containers have the GPU.
inline constexpr std::string_view kGpuOwnedByLocal = "GpuOwnedByLocal";
inline constexpr std::string_view kGpuQuarantined = "GpuQuarantined";
inline constexpr std::string_view kGpuMoving = "GpuMoving";
inline constexpr std::string_view kGpuUnhealthy = "GpuUnhealthy";
inline constexpr std::string_view kGpuLost = "GpuLost";
/// B14: the counted compute shares would pass 100 %.
inline constexpr std::string_view kComputeExceeded = "ComputeExceeded";
/// B14: the counted memory shares would pass the GPU's memory.
inline constexpr std::string_view kMemoryExceeded = "MemoryExceeded";
/// The GPU has as many MPS clients as its server takes.
inline constexpr std::string_view kMpsClientLimit = "MpsClientLimit";
/// The GPU's MPS server is root's and takes no other user's programs.
inline constexpr std::string_view kMpsUser = "MpsUser";
/// B15: nothing on this box enforces the limit in the GPU's mode.
inline constexpr std::string_view kUnenforceable = "Unenforceable";
/// The holder has its GPU whole, or without a limit: there is no share to change.
inline constexpr std::string_view kNoShare = "NoShare";
/// The limit is MPS's and cannot change while the container runs.
inline constexpr std::string_view kNeedsRestart = "NeedsRestart";
/// The holder has berths already, and not the ones asked for now (code Conflict).
inline constexpr std::string_view kAlreadyGranted = "AlreadyGranted";

}  // namespace berth::arbiter::reasons
