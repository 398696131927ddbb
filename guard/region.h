// The two files that the daemon and the guard share for one container with limits: layout, and the reading of
// what a container may have written. docs/formats/guard-region.md is the format's page.
//
// The limits file is the daemon's: mounted read-only, so a container can read its limits and nothing more.
// The usage file is the container's: every process in it reports there, and any byte of it may be hostile. No
// limit depends on the usage file alone being honest about another container, and the daemon only ever reads
// it, as a copy: a container that cuts the file short cannot make the daemon fault.
//
// This header depends on nothing but the standard library: the guard is loaded into other people's programs.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace berth::guard {

/// Changes with every change of the layout; part of the library's file name, so that a running container
/// keeps the library and the files it began with.
inline constexpr std::uint32_t kLayoutVersion = 1;

/// Where a container with limits finds them; no environment variable changes that.
inline constexpr const char* kLimitsPath = "/run/berth/guard/limits";
inline constexpr const char* kUsagePath = "/run/berth/guard/usage";
inline constexpr const char* kLibraryPath = "/usr/lib/berth/libberth-guard-1.so";
inline constexpr const char* kPreloadPath = "/etc/ld.so.preload";

inline constexpr std::size_t kMaxGpus = 16;
inline constexpr std::uint32_t kMaxProcesses = 1024;
/// Device memory is counted in units of this many bytes, to which the driver rounds an allocation anyway.
inline constexpr std::uint64_t kGranule = 512;
/// The largest allocation that a GPU with a memory limit can be asked for: 2^32 - 1 granules, 2 TiB.
inline constexpr std::uint64_t kMaxReservation = ((std::uint64_t{1} << 32U) - 1) * kGranule;

// ---- The limits file: written by the daemon, read by the guard ----

inline constexpr std::uint64_t kLimitsMagic = 0x31'4d'49'4c'48'54'52'42;  // "BRTHLIM1"
inline constexpr std::uint32_t kEnforceMemory = 1;                        // Bits of LimitsRegion::enforced
inline constexpr std::uint32_t kEnforceCompute = 2;
inline constexpr std::uint32_t kPaceAlways = 0;         // Values of GpuLimits::pacing: the share is a cap
inline constexpr std::uint32_t kPaceWhenContended = 1;  // No pacing while `contenders` is 1

/// One GPU of the container, in the order the container sees them. Every field but the UUID may change while
/// the container runs; each is one plain atomic store.
struct alignas(64) GpuLimits {
  std::array<char, 48> uuid;                 // "GPU-..." as NVML spells it, ended by zero bytes
  std::atomic<std::uint64_t> memory_bytes;   // Over all processes of the container; 0: no limit
  std::atomic<std::uint64_t> context_bytes;  // What one context costs on this GPU; 0: the guard measures it
  std::atomic<std::uint32_t> compute_permille;  // Of the GPU's time; 0 or 1000 and more: no limit
  std::atomic<std::uint32_t> pacing;            // kPaceAlways, kPaceWhenContended
  // The daemon's feedback. Measured GPU time is multiplied by charge_permille/1000 before it is charged, so
  // that what events cannot tell apart (other containers' time slices, kernels side by side) is put right.
  std::atomic<std::uint32_t> charge_permille;  // 0 means 1000
  std::atomic<std::uint32_t>
      contenders;  // Containers with work on this GPU now, this one included; 0: unknown
  std::atomic<std::uint32_t>
      burst_us;  // GPU time that may be used ahead after a pause; 0: the guard's default
  // Where in each period of kTurnNs this container's turn begins, in permille and plus 1; 0: it has no turn.
  // Turns keep containers that want more than their share from switching the GPU between them all the time,
  // which costs a tenth of it. Who is within its share need not wait for its turn.
  std::atomic<std::uint32_t> turn;
  std::array<std::uint32_t, 8> reserved;
};
static_assert(sizeof(GpuLimits) == 128);
inline constexpr std::uint64_t kTurnNs = 50'000'000;

struct LimitsRegion {
  std::uint64_t magic;
  std::uint32_t version;                  // kLayoutVersion
  std::uint32_t gpu_count;                // 1 to kMaxGpus
  std::uint64_t size;                     // Of this struct
  std::atomic<std::uint32_t> generation;  // Grows with every change
  std::atomic<std::uint32_t> enforced;    // kEnforceMemory, kEnforceCompute: some GPU has such a limit
  std::array<std::uint64_t, 12> reserved;
  std::array<GpuLimits, kMaxGpus> gpus;
  // Slots of the usage file whose process the daemon knows to be dead: the slot's owner word, else 0. For
  // processes that the others of the container cannot see, because they had a PID namespace of their own.
  std::array<std::atomic<std::uint64_t>, kMaxProcesses> dead;
};
static_assert(sizeof(LimitsRegion) == 128 + kMaxGpus * sizeof(GpuLimits) + kMaxProcesses * 8);

// ---- The usage file: written by the container's processes ----

inline constexpr std::uint64_t kUsageMagic = 0x31'47'53'55'48'54'52'42;  // "BRTHUSG1"

/// Who holds a slot, in one word so that it is taken and given back by one atomic step: the pid as its own
/// PID namespace numbers it, and the start time (field 22 of /proc/PID/stat), which tells a pid used again
/// apart.
struct SlotOwner {
  std::uint32_t pid = 0;          // 22 bits, the kernel's most
  std::uint64_t start_ticks = 0;  // 41 bits
  bool reaping = false;           // Its holder is clearing it of a dead process

  static constexpr unsigned kPidBits = 22;
  static constexpr unsigned kTickBits = 41;
  constexpr std::uint64_t word() const noexcept {
    const std::uint64_t ticks = start_ticks & ((std::uint64_t{1} << kTickBits) - 1);
    return (std::uint64_t{reaping ? 1U : 0U} << 63U) | (ticks << kPidBits) |
           (pid & ((std::uint32_t{1} << kPidBits) - 1));
  }
  static constexpr SlotOwner of(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word & ((std::uint64_t{1} << kPidBits) - 1)),
            (word >> kPidBits) & ((std::uint64_t{1} << kTickBits) - 1), (word >> 63U) != 0};
  }
  constexpr bool operator==(const SlotOwner&) const = default;
};

inline constexpr std::uint32_t kSlotUsesDriver =
    1;  // Bits of Slot::flags: cuInit or nvmlInit went through the guard
inline constexpr std::uint32_t kSlotHasContext = 2;

struct alignas(64) Slot {
  std::atomic<std::uint64_t> owner;    // SlotOwner::word(); 0: free
  std::atomic<std::uint64_t> exec_id;  // Differs from one exec of a process to the next; 0: not filled in yet
  std::atomic<std::uint64_t> pid_namespace;  // Inode of /proc/self/ns/pid; 0: unknown
  std::atomic<std::uint64_t> seen_ns;        // CLOCK_MONOTONIC of the last call that was counted
  std::atomic<std::uint32_t> flags;
  std::uint32_t reserved;
};
static_assert(sizeof(Slot) == 64);

/// Device memory of one process on one GPU. `sequence` is that of the last reservation of this process that
/// was carried over from the ticket.
struct UsedWord {
  std::uint64_t granules = 0;  // 42 bits
  std::uint32_t sequence = 0;  // 22 bits

  static constexpr unsigned kSequenceBits = 22;
  static constexpr std::uint32_t kSequenceMask = (std::uint32_t{1} << kSequenceBits) - 1;
  constexpr std::uint64_t word() const noexcept {
    return (granules << kSequenceBits) | (sequence & kSequenceMask);
  }
  static constexpr UsedWord of(std::uint64_t word) noexcept {
    return {word >> kSequenceBits, static_cast<std::uint32_t>(word & kSequenceMask)};
  }
};

/// The last reservation on a GPU: who, how much, and its number. Exchanging this word is the one step that
/// grants memory; until the slot's UsedWord has the same sequence, the granules count as well (see
/// Accounting).
struct TicketWord {
  std::uint32_t granules = 0;  // 32 bits
  std::uint32_t slot = 0;      // 10 bits
  std::uint32_t sequence = 0;  // 22 bits

  constexpr std::uint64_t word() const noexcept {
    return (std::uint64_t{sequence & UsedWord::kSequenceMask} << 42U) |
           (std::uint64_t{slot & (kMaxProcesses - 1)} << 32U) | granules;
  }
  static constexpr TicketWord of(std::uint64_t word) noexcept {
    return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32U) & (kMaxProcesses - 1),
            static_cast<std::uint32_t>(word >> 42U)};
  }
};

/// What one process did on one GPU since it took its slot. Only `refused` and the times are exact when
/// several of its threads launch at once; `launches` may then be too low.
struct alignas(64) Counters {
  std::atomic<std::uint64_t> gpu_ns;        // GPU time by events, before charge_permille
  std::atomic<std::uint64_t> throttled_ns;  // Time that launches were held back
  std::atomic<std::uint64_t> launches;
  std::atomic<std::uint64_t> refused;  // Allocations that the limit refused
  std::array<std::uint64_t, 4> reserved;
};
static_assert(sizeof(Counters) == 64);

struct alignas(64) GpuUsage {
  std::atomic<std::uint64_t> ticket;  // TicketWord
  // Token bucket of the whole container, as one word: when all GPU time charged so far is paid off, on
  // CLOCK_MONOTONIC. A launch may start when that is not in the future; idle time is worth the burst at most.
  std::atomic<std::uint64_t> paid_until_ns;
  std::atomic<std::uint64_t> paid_permille;  // The rate that paid_until_ns was reckoned with
  std::atomic<std::uint64_t>
      context_bytes;  // What a context costs, as the container's first process measured it
  std::array<std::uint64_t, 4> reserved;
  std::array<std::atomic<std::uint64_t>, kMaxProcesses> used;  // UsedWord
  std::array<Counters, kMaxProcesses> counters;
};
static_assert(sizeof(GpuUsage) == 64 + kMaxProcesses * (8 + sizeof(Counters)));

struct alignas(64) UsageHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t gpu_count;
  std::uint64_t size;                    // Of the file
  std::atomic<std::uint32_t> slots_end;  // One more than the highest slot that was ever taken
};

/// IPC memory handles that this container's processes have given out, by hash: memory opened from one of them
/// is counted already. A collision makes an entry overwrite another.
inline constexpr std::size_t kExportedHandles = 512;

/// The file is this followed by one GpuUsage for each GPU of the limits file.
struct UsageRegion {
  UsageHeader header;
  std::array<std::atomic<std::uint64_t>, kExportedHandles> exported;
  std::array<Slot, kMaxProcesses> slots;

  GpuUsage& gpu(std::size_t index) noexcept { return reinterpret_cast<GpuUsage*>(this + 1)[index]; }
  const GpuUsage& gpu(std::size_t index) const noexcept {
    return reinterpret_cast<const GpuUsage*>(this + 1)[index];
  }
};
static_assert(sizeof(UsageRegion) == 64 + kExportedHandles * 8 + kMaxProcesses * sizeof(Slot));
static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              std::atomic<std::uint32_t>::is_always_lock_free);

/// Bytes of a usage file for so many GPUs.
constexpr std::size_t usageBytes(std::size_t gpu_count) noexcept {
  return sizeof(UsageRegion) + gpu_count * sizeof(GpuUsage);
}

/// Puts an empty region into zero-filled memory of the right size. `uuids` has 1 to kMaxGpus names of at most
/// 47 bytes; false, and nothing written, when it has not.
bool initialiseLimits(LimitsRegion& limits, std::span<const std::string_view> uuids) noexcept;
void initialiseUsage(UsageRegion& usage, std::size_t gpu_count) noexcept;

/// Whether these are the files of this layout; `bytes` is the length of the file.
inline bool validLimits(const LimitsRegion& limits, std::size_t bytes) noexcept {
  return bytes >= sizeof(LimitsRegion) && limits.magic == kLimitsMagic && limits.version == kLayoutVersion &&
         limits.size == sizeof(LimitsRegion) && limits.gpu_count >= 1 && limits.gpu_count <= kMaxGpus;
}
inline bool validUsage(const UsageHeader& usage, std::size_t bytes, std::size_t gpu_count) noexcept {
  return bytes >= usageBytes(gpu_count) && usage.magic == kUsageMagic && usage.version == kLayoutVersion &&
         usage.size == usageBytes(gpu_count) && usage.gpu_count == gpu_count;
}

// ---- Reading a usage file that may be hostile ----

struct ProcessGpuUsage {
  std::uint64_t bytes = 0;
  std::uint64_t gpu_ns = 0;
  std::uint64_t throttled_ns = 0;
  std::uint64_t launches = 0;
  std::uint64_t refused = 0;
};

/// A process that has reported in.
struct ProcessUsage {
  std::uint32_t slot = 0;
  SlotOwner owner;
  std::uint64_t pid_namespace = 0;
  std::uint64_t seen_ns = 0;
  bool uses_driver = false;
  bool has_context = false;
  std::vector<ProcessGpuUsage> gpus;  // As many as the limits file has
};

/// The processes of a copy of a usage file, dead ones included: the reader knows which live. Nothing when the
/// copy is not a usage file for `gpu_count` GPUs. No number in it is to be trusted further than the container
/// that wrote it; each is in the range of its type, and there are kMaxProcesses at most.
std::optional<std::vector<ProcessUsage>> readUsage(std::span<const std::byte> copy, std::size_t gpu_count);

/// The sum over all processes, with no overflow: at most 2^64 - 1 of each.
ProcessGpuUsage totalOf(std::span<const ProcessUsage> processes, std::size_t gpu);

}  // namespace berth::guard
