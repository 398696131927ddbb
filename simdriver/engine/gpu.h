// What can be done to one simulated GPU while its lock is held: time is brought up to date, dead processes
// are cleared away, clients come and go, memory is counted, events are written. The driver libraries, the MPS
// programs and berth-sim all work through this.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/layout.h"
#include "engine/model.h"
#include "engine/session.h"
#include "engine/state_file.h"

namespace berth::sim {

inline constexpr std::uint32_t kMaxMpsClients = 48;  // Per server; peers.md 3.4, the lower documented limit.
inline constexpr std::uint64_t kMpsServerBytes = 25ULL << 20U;
inline constexpr std::uint64_t kDriverBytes = 3ULL << 20U;  // As long as any process is on the GPU.
inline constexpr std::uint32_t kUtilisationBuckets = 10;    // 500 ms, what NVML shows.
inline constexpr std::uint64_t kXidEvent = 0x8;             // nvmlEventTypeXidCriticalError
inline constexpr std::uint64_t kDoubleBitEvent = 0x2;       // nvmlEventTypeDoubleBitEccError

/// A client as it is let in.
struct Admission {
  SlotKind kind = SlotKind::Plain;
  std::uint32_t server = kNoSlot;  // MPS client: its server, which must still be what it was.
  std::uint32_t server_generation = 0;
  std::uint32_t thread_percent = 100;
  std::uint64_t pinned_limit_bytes = 0;
};

/// One process's context as seen from outside.
struct ClientView {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  SlotKind kind = SlotKind::Free;
  Status fault = Status::Ok;
  pid_t pid = 0;  // In the reader's namespace; 0: not visible there.
  std::uint32_t uid = 0;
  std::uint32_t server = kNoSlot;
  std::uint32_t thread_percent = 100;
  std::uint64_t memory_bytes = 0;  // Context and allocations, as NVML charges them.
  double utilisation = 0;
};

struct Telemetry {
  double utilisation = 0;  // 0 to 1.
  std::uint32_t power_mw = 0;
  std::uint32_t temperature_c = 0;
  std::uint32_t sm_clock_mhz = 0;
  std::uint32_t memory_clock_mhz = 0;
  std::uint64_t energy_mj = 0;  // Since the GPU was made.
  std::uint32_t performance_state = 8;
};

/// SMs that a thread percentage allows: rounded down, one at least.
double smsOfPercent(std::uint32_t sm_count, std::uint32_t percent);

/// What the load makes of a GPU. `busy_ns` of `time_ns` it worked; `heat` is 0 to 1.
Telemetry telemetryOf(const Profile& profile, double utilisation, double heat, std::uint64_t time_ns,
                      std::uint64_t busy_ns);

/// Holds the GPU's lock from construction to destruction, and has brought it up to date when status() is Ok.
class LockedGpu {
 public:
  explicit LockedGpu(StateFile& file);
  ~LockedGpu();
  LockedGpu(const LockedGpu&) = delete;
  LockedGpu& operator=(const LockedGpu&) = delete;

  /// Io or Malformed: nothing else may be called.
  Status status() const { return status_; }
  GpuState& state() { return file_.state(); }
  Model& model() { return model_; }
  bool lost() const;
  bool bound() const;  // Given to vfio.

  /// Frees what dead processes held. Also done every now and then by the constructor.
  void reap();

  /// Lets this process in, or says why not: DeviceLost, DeviceUnavailable (compute mode), MpsServerNotReady,
  /// MpsMaxClientsReached, MpsMaxConnectionsReached (no slot left), OutOfMemory.
  Status admit(const Admission& admission, std::uint32_t& slot);
  void leave(std::uint32_t slot);

  /// Sticky faults: of one client, of an MPS server with all its clients, of everybody.
  void failClient(std::uint32_t slot, Status why);
  void failServer(std::uint32_t server);
  void failAll(Status why);
  Status faultOf(std::uint32_t slot, std::uint32_t generation) const;

  std::uint64_t usedBytes() const;
  std::uint64_t freeBytes() const;
  Status reserve(std::uint32_t slot, std::uint64_t bytes);
  void release(std::uint32_t slot, std::uint64_t bytes);
  /// Free and total as the client in `slot` is told.
  MemoryInfo memoryInfo(std::uint32_t slot) const;

  std::vector<ClientView> clients();
  std::uint32_t clientsOfServer(std::uint32_t server) const;
  Telemetry telemetry();

  void pushEvent(std::uint64_t type, std::uint64_t data);
  /// The event with this sequence number, when it is (still) there.
  std::optional<EventRecord> event(std::uint64_t sequence) const;
  std::uint64_t lastEvent() const;

  /// Wakes all who wait for a prediction, when the lock is let go.
  void wakeAll() { wake_ = true; }

 private:
  void bringUpToDate();
  void updateHeat();
  Status admitByMode() const;
  Status admitToServer(const Admission& admission) const;
  void recoverServers();
  const Slot& slotAt(std::uint32_t index) const { return file_.state().slots[index % kMaxClients]; }
  Slot& slotAt(std::uint32_t index) { return file_.state().slots[index % kMaxClients]; }

  StateFile& file_;
  Model model_;
  Status status_;
  bool wake_ = false;
};

}  // namespace berth::sim
