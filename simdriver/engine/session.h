// One process's use of one simulated GPU: the seam between the driver libraries (libcuda, libnvidia-ml, the
// MPS programs) and the engine that keeps the GPU's shared state and time.
//
// Time is the device's own, in nanoseconds since its state file was made, and runs at the speed of
// CLOCK_MONOTONIC. Work is a number of SM-nanoseconds with an upper bound on the SMs it can fill; how long it
// takes follows from who else is on the GPU (design.md 4: fluid model for time-slicing and MPS). Submitting
// never blocks; waiting sleeps until the model says the work is finished.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace berth::sim {

/// What an operation on the session came to. Each maps to one CUresult in the cuda/ folder.
enum class Status : std::uint8_t {
  Ok,
  OutOfMemory,        // CUDA_ERROR_OUT_OF_MEMORY
  DeviceUnavailable,  // Compute mode forbids a context: CUDA_ERROR_DEVICE_UNAVAILABLE (46)
  DeviceLost,         // The GPU fell off the bus (XID 79): CUDA_ERROR_DEVICE_NOT_AVAILABLE or _UNKNOWN (999)
  IllegalAddress,     // Sticky fault of this context (XID 31): CUDA_ERROR_ILLEGAL_ADDRESS (700)
  MpsConnectionFailed,       // 805
  MpsServerNotReady,         // 807
  MpsMaxClientsReached,      // 808
  MpsMaxConnectionsReached,  // 809
  MpsClientTerminated,       // 810: also what all clients of a server see after one client's fatal fault
  Malformed,                 // The state file is not one of ours, is truncated or of another version.
  Io,
};

/// What a kind of GPU is like; from profiles.txt (T4, A2, L4, A100, H100, and the user's own).
struct Profile {
  std::string key;   // "t4"
  std::string name;  // "Tesla T4", as NVML says it
  std::uint32_t pci_device_id =
      0;  // 0x1eb810de: device in the upper half, vendor in the lower, as NVML has it
  std::uint32_t pci_subsystem_id = 0;
  std::uint32_t sm_count = 0;
  int compute_major = 0;
  int compute_minor = 0;
  std::uint64_t memory_bytes = 0;  // What NVML shows as total
  std::uint32_t power_limit_mw = 0;
  std::uint32_t idle_power_mw = 0;
  std::uint32_t sm_clock_mhz = 0;  // Boost clock
  std::uint32_t memory_clock_mhz = 0;
  std::uint32_t memory_bus_bits = 0;
  double gflops_fp32 = 0;  // What the whole GPU does per second on the calibrated n-body kernel
  std::uint64_t context_overhead_bytes = 0;  // What NVML charges a process for its context, without MPS
  std::uint64_t mps_context_overhead_bytes = 0;
  std::uint64_t slice_ns = 0;  // Time slice and what a switch between processes costs (design.md 4)
  std::uint64_t switch_ns = 0;
};

/// One submission to the device: `sm_ns` SM-nanoseconds of work that can use at most `max_sms` SMs at once.
/// On an idle GPU it takes sm_ns / min(max_sms, SMs granted) nanoseconds.
struct Work {
  double sm_ns = 0;
  double max_sms = 0;
};

/// Names a submission of this session; increasing per stream.
struct Ticket {
  std::uint32_t stream = 0;
  std::uint64_t sequence = 0;
};

struct MemoryInfo {
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
};

/// A process's open context on one GPU. Made by the engine (Engine::open), destroyed with the context. Safe
/// from several threads. After a fault every call returns that fault.
class Session {
 public:
  virtual ~Session() = default;

  virtual const Profile& profile() const = 0;

  /// Takes `bytes` of device memory from the GPU (shared with all processes), or OutOfMemory and nothing.
  /// Also OutOfMemory when an MPS pinned-memory limit of this client would be passed.
  virtual Status reserve(std::uint64_t bytes) = 0;
  /// Gives `bytes` back. A session's end gives everything back.
  virtual void release(std::uint64_t bytes) = 0;
  /// Free and total as cuMemGetInfo tells them to this client.
  virtual MemoryInfo memoryInfo() = 0;

  /// Makes a stream (FIFO of work) with a priority (lower number first, as CUDA). Stream 0 always exists.
  virtual std::uint32_t createStream(int priority) = 0;
  virtual void destroyStream(std::uint32_t stream) = 0;

  /// Queues `work` behind everything submitted to `stream` before. Never blocks on the work itself; when the
  /// shared queue of the stream is full it waits for room. Zero work completes in order and costs nothing.
  virtual Status submit(std::uint32_t stream, const Work& work, Ticket& ticket) = 0;
  /// Makes later work of `stream` start only after `after` is done (cuStreamWaitEvent). Never blocks.
  virtual Status waitFor(std::uint32_t stream, const Ticket& after) = 0;

  /// True when the ticket's work is finished in device time.
  virtual bool done(const Ticket& ticket) = 0;
  /// Blocks until it is, or until a fault.
  virtual Status wait(const Ticket& ticket) = 0;
  /// Blocks until everything of this session is done, or a fault.
  virtual Status waitAll() = 0;
  /// Device time at which a finished ticket finished, nanoseconds; 0 when it has not.
  virtual std::uint64_t finishedAt(const Ticket& ticket) = 0;
  /// The ticket of the last submission to `stream` (sequence 0 when there was none).
  virtual Ticket last(std::uint32_t stream) = 0;
  /// Device time now, nanoseconds.
  virtual std::uint64_t now() = 0;

  /// Puts this context (and, under MPS, every client of the same server) into a sticky fault, as an illegal
  /// address in a kernel does: XID 31 in NVML's events.
  virtual void raiseFault() = 0;
  /// The fault this context is in, or Ok.
  virtual Status fault() = 0;

  /// SMs this client may fill: all, or its share under MPS (thread percentage, rounded as MPS rounds).
  virtual double grantedSms() = 0;
};

/// A GPU visible to this process, before a context is made on it.
struct VisibleGpu {
  std::string uuid;        // "GPU-..."
  std::string pci_bus_id;  // "00000000:3B:00.0"
  std::string state_file;
  Profile profile;
};

/// What the driver libraries start from. Made once per process by `openEngine`.
class Engine {
 public:
  virtual ~Engine() = default;
  /// GPUs whose state files this process can open and whose index or UUID NVIDIA_VISIBLE_DEVICES (then
  /// CUDA_VISIBLE_DEVICES, for CUDA only) allows, in PCI order.
  virtual std::vector<VisibleGpu> gpus(bool for_cuda) = 0;
  /// Opens a context on one of them. Connects to MPS when a control daemon answers at CUDA_MPS_PIPE_DIRECTORY
  /// (default /tmp/nvidia-mps), obeys the compute mode otherwise.
  virtual Status open(const VisibleGpu& gpu, std::unique_ptr<Session>& session) = 0;
};

/// The engine over the state folder: $BERTH_SIM_DIR, else /run/berth-sim. Never throws, never prints.
std::unique_ptr<Engine> openEngine() noexcept;
/// The same for a process that must not die when a container cuts a state file short: `gpus` maps nothing.
std::unique_ptr<Engine> openReadingEngine() noexcept;

}  // namespace berth::sim
