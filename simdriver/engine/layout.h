// The bytes of a simulated GPU's state file, mapped by every process that uses the GPU. One struct, native
// byte order, in place; docs/formats/simdriver-state.md describes it. Containers can write to it, so every
// reader treats each value as hostile: models clamp, strings are read with a limit, indices are checked where
// used.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "engine/model.h"

namespace berth::sim {

inline constexpr std::array<char, 8> kMagic{'B', 'S', 'I', 'M', 'G', 'P', 'U', '\0'};
inline constexpr std::uint32_t kLayoutVersion = 1;
inline constexpr std::uint32_t kMaxEvents = 256;
inline constexpr std::uint32_t kNoSlot = 0xFFFFFFFFU;

/// Byte offsets of the record locks, behind everything the file can hold.
inline constexpr std::int64_t kStateLockByte = 0x60000000;
inline constexpr std::int64_t kSlotLockBase = 0x60001000;

enum class SlotKind : std::uint32_t { Free, Plain, MpsServer, MpsClient };
enum class Binding : std::uint32_t { Nvidia, Vfio };
/// As nvmlComputeMode_t numbers them.
enum class ComputeMode : std::uint32_t { Default, ExclusiveThread, Prohibited, ExclusiveProcess };

/// A place for one context (or MPS server). Its process holds a record lock on byte kSlotLockBase + index.
struct Slot {
  std::uint32_t kind = 0;
  std::uint32_t generation = 0;
  std::uint32_t fault = 0;  // Status; sticky. An MPS server in a fault admits nobody.
  std::uint32_t uid = 0;
  std::uint32_t server = kNoSlot;  // MPS client: its server's slot and that slot's generation.
  std::uint32_t server_generation = 0;
  std::int32_t pid = 0;              // As the process itself sees it, with the next two: who it is.
  std::uint32_t thread_percent = 0;  // MPS client: what was granted.
  std::uint64_t pid_namespace = 0;
  std::uint64_t start_time = 0;
  std::uint64_t overhead_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t pinned_limit_bytes = 0;  // MPS client; 0: none.
};

struct EventRecord {
  std::uint64_t sequence = 0;  // From 1; what does not match its place is ignored.
  std::uint64_t time_ns = 0;
  std::uint64_t type = 0;  // NVML's bit.
  std::uint64_t data = 0;  // The XID.
};

struct ProfileRecord {
  std::array<char, 64> key;
  std::array<char, 64> name;
  std::uint32_t pci_device_id = 0;
  std::uint32_t pci_subsystem_id = 0;
  std::uint32_t sm_count = 0;
  std::int32_t compute_major = 0;
  std::int32_t compute_minor = 0;
  std::uint32_t power_limit_mw = 0;
  std::uint32_t idle_power_mw = 0;
  std::uint32_t sm_clock_mhz = 0;
  std::uint32_t memory_clock_mhz = 0;
  std::uint32_t memory_bus_bits = 0;
  double gflops_fp32 = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t context_overhead_bytes = 0;
  std::uint64_t mps_context_overhead_bytes = 0;
  std::uint64_t slice_ns = 0;
  std::uint64_t switch_ns = 0;
};

struct StateHeader {
  std::array<char, 8> magic;
  std::uint32_t version = 0;
  std::uint32_t header_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint32_t index = 0;  // Of the GPU on this box; NVIDIA_VISIBLE_DEVICES means this.
  std::uint32_t reserved = 0;
  std::array<char, 48> uuid;
  std::array<char, 32> pci_bus_id;
  std::array<char, 24> serial;
  ProfileRecord profile;
};

struct Health {
  std::uint32_t binding = 0;
  std::uint32_t lost = 0;
  std::uint32_t hung = 0;
  std::uint32_t compute_mode = 0;
  std::uint32_t persistence = 0;
  std::uint32_t temperature_c = 0;  // Forced; 0: follows from the load.
  std::uint32_t power_limit_mw = 0;
  std::uint32_t reserved = 0;
  std::uint64_t ecc_corrected = 0;
  std::uint64_t ecc_uncorrected = 0;
};

struct GpuState {
  StateHeader header;
  Health health;
  std::int64_t epoch_ns = 0;  // CLOCK_MONOTONIC at device time 0.
  std::uint64_t last_reap_ns = 0;
  std::uint64_t heat_time_ns = 0;
  double heat = 0;         // 0: cold, 1: as warm as full load makes it.
  std::uint32_t wake = 0;  // Futex: changes when a prediction may have become too late.
  std::uint32_t reserved = 0;
  std::uint64_t next_event = 0;
  std::array<EventRecord, kMaxEvents> events;
  std::array<Slot, kMaxClients> slots;
  ModelState model;
};

static_assert(std::is_trivially_copyable_v<GpuState> && std::is_standard_layout_v<GpuState>);
static_assert(sizeof(GpuState) % 8 == 0);
static_assert(sizeof(GpuState) < kStateLockByte);

}  // namespace berth::sim
