// What the handles stand for: contexts, streams, events, modules, allocations. Plain state with its lock;
// what is done with it is in the files named after the subjects.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "../engine/session.h"
#include "arena.h"
#include "cost.h"
#include "cuda_abi.h"
#include "ptx.h"

namespace berth::sim::cu {

struct Context;
struct Stream;
struct Graph;
struct GraphNode;
struct ExternalMemory;
struct GraphMemory;
class GraphMemoryOwner;
class SharedEvent;

/// A stream that is being captured into a graph. Streams that joined by an event share it.
struct Capture {
  std::shared_ptr<Graph> graph;
  std::uint64_t id = 0;
  std::uint64_t thread = 0;  // That began it
  unsigned mode = 0;
  bool into_given_graph = false;      // Which then outlives a capture that fails
  const Context* context = nullptr;   // To compare with, never to follow
  std::atomic<bool> blocking{false};  // A stream that waits for the default stream takes part
  std::atomic<bool> invalid{false};
  std::atomic<bool> ended{false};
  std::mutex mutex;
  std::vector<std::weak_ptr<Stream>> streams;  // That take part
};

struct Stream {
  std::weak_ptr<Context> context;
  std::uintptr_t handle = 0;
  std::uint32_t engine_stream = 0;
  unsigned flags = 0;
  int priority = 0;
  bool legacy = false;  // The default stream, which orders itself with every blocking stream

  std::mutex mutex;                  // For what follows, and held while work is queued: keeps order
  std::uint64_t legacy_seen = 0;     // Last work of the legacy stream that this one already waits for
  std::uint64_t seen_by_legacy = 0;  // The other way round
  std::shared_ptr<Capture> capture;
  bool capture_origin = false;
  std::vector<std::shared_ptr<GraphNode>> capture_tail;  // What the next captured node depends on
  std::vector<CUgraphNode> told_tail;                    // The handles that cuStreamGetCaptureInfo gave out
};

struct Event {
  std::weak_ptr<Context> context;
  unsigned flags = 0;

  std::mutex mutex;
  bool recorded = false;
  Ticket ticket;
  std::shared_ptr<Capture> capture;
  std::vector<std::shared_ptr<GraphNode>> captured_after;
  std::shared_ptr<SharedEvent> shared;  // Of an event that several processes use
};

/// A `cuLaunchHostFunc` or callback that waits for its turn.
struct HostCall {
  Ticket after;
  std::function<void()> function;
};

/// Runs host functions of one context in the order they were queued, each when the work before it is done.
/// Its thread starts with the first of them and is joined by the destructor.
class HostCalls {
 public:
  explicit HostCalls(Session& session) : session_(session) {}
  HostCalls(const HostCalls&) = delete;
  HostCalls& operator=(const HostCalls&) = delete;
  ~HostCalls();

  void queue(HostCall call);
  /// Blocks until those queued for `stream` have run. Returns at once on the thread that runs them.
  void drain(std::uint32_t stream);
  /// Blocks until all have run.
  void drainAll();
  /// True when none is queued for `stream`.
  bool idle(std::uint32_t stream);
  /// True on the thread that runs host functions; CUDA forbids its calls there.
  bool onOwnThread() const;

 private:
  void run(const std::stop_token& stop);

  Session& session_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<HostCall> queue_;
  std::atomic<std::size_t> waiting_{0};
  std::jthread thread_;
};

struct Context {
  std::uintptr_t handle = 0;
  int device = 0;
  bool primary = false;
  unsigned api_version = 0;
  std::atomic<unsigned> flags{0};
  std::atomic<bool> alive{true};
  std::unique_ptr<Session> session;
  std::unique_ptr<HostCalls> host_calls;
  std::shared_ptr<Stream> legacy_stream;

  std::mutex mutex;
  std::map<std::uint64_t, std::shared_ptr<Stream>> thread_streams;
  std::vector<std::weak_ptr<Stream>> blocking_streams;
  std::map<unsigned, std::size_t> limits;
  std::set<std::uintptr_t> peers;  // Contexts whose memory this one may reach
};

/// A pool's memory is charged to the contexts that allocated it. What is freed stays charged, ready for the
/// next allocation, until a synchronisation finds more of it than the release threshold.
struct MemoryPool {
  int device = 0;
  bool owned_by_driver = false;  // A device's default pool
  std::uintptr_t handle = 0;

  std::mutex mutex;
  std::uint64_t release_threshold = 0;
  std::uint64_t used = 0;
  std::uint64_t used_high = 0;
  std::uint64_t reserved_high = 0;
  std::uint64_t max_size = 0;  // 0: no limit but the device's
  std::array<int, 3> reuse{1, 1, 1};
  std::set<int> accessible_from;                 // Other devices
  std::map<std::uintptr_t, std::uint64_t> kept;  // Charged and unused: context's handle to bytes
};

enum class MemoryKind : std::uint8_t { Device, Managed, Pinned, Registered, Imported, Virtual, Array };

/// Physical memory of cuMemCreate: a memory file, which a file descriptor can carry to another process.
struct PhysicalMemory {
  UniqueFd file;
  std::uint64_t bytes = 0;
  int device = 0;
  unsigned handle_types = 0;
  CUmemAllocationProp properties{};
  std::weak_ptr<Context> context;  // That was charged
  bool charged = false;
  std::mutex mutex;
  std::uintptr_t handle = 0;
  std::uint64_t handles = 1;  // References that cuMemRelease must give back
  ~PhysicalMemory();
};

/// One range of addresses that CUDA knows.
struct Allocation {
  std::byte* base = nullptr;
  std::size_t bytes = 0;
  MemoryKind kind = MemoryKind::Device;
  int device = 0;
  std::uint64_t id = 0;
  std::weak_ptr<Context> context;
  std::uint64_t charged = 0;  // What the engine was asked for
  unsigned flags = 0;
  Mapping mapping;  // Where the range is not the arena's
  std::shared_ptr<MemoryPool> pool;
  std::shared_ptr<PhysicalMemory> physical;
  std::shared_ptr<ExternalMemory> external;
  std::shared_ptr<GraphMemory> graph;
  bool accessible = true;  // Virtual memory: cuMemSetAccess was called
};

/// Rows of elements that only copies reach. A level of a mipmapped array shares the whole's memory.
struct Array {
  CUDA_ARRAY3D_DESCRIPTOR descriptor{};
  std::byte* base = nullptr;
  std::size_t bytes = 0;
  std::size_t row_bytes = 0;
  std::weak_ptr<Context> context;
  std::shared_ptr<Allocation> allocation;
  bool level = false;
};

struct MipmappedArray {
  CUDA_ARRAY3D_DESCRIPTOR descriptor{};
  std::weak_ptr<Context> context;
  std::shared_ptr<Allocation> allocation;
  std::vector<std::uintptr_t> levels;  // Array handles
};

struct ExternalMemory {
  Mapping mapping;
  std::size_t bytes = 0;
  std::weak_ptr<Context> context;
};

/// What cuLinkAddData collected.
struct Link {
  std::string text;
};

/// A module's image, shared by a library and the modules made of it.
struct Module {
  std::weak_ptr<Context> context;
  std::uintptr_t handle = 0;
  PtxModule ptx;
  std::map<std::string, std::shared_ptr<Allocation>, std::less<>> variables;
  std::mutex mutex;
  std::map<std::string, std::uintptr_t, std::less<>> functions;
};

struct Function {
  std::uintptr_t handle = 0;
  std::weak_ptr<Module> module;
  PtxKernel kernel;
  int ptx_version = 0;
  int target = 0;
  std::mutex mutex;
  std::map<unsigned, int> settings;  // Attributes that were set
};

/// A context-independent kernel collection; each context gets its module on first use.
struct Library {
  PtxModule ptx;
  std::mutex mutex;
  std::map<std::uintptr_t, std::uintptr_t> modules;  // Context to module
  std::map<std::string, std::uintptr_t, std::less<>> kernels;
};

struct Kernel {
  std::weak_ptr<Library> library;
  std::string name;
};

// ---- What can be queued to a stream or be a node of a graph ----

struct KernelLaunch {
  std::shared_ptr<Function> function;
  Extent grid{};
  Extent block{};
  unsigned shared_bytes = 0;
  bool cooperative = false;
  std::vector<std::byte> arguments;        // Packed as the kernel's parameters are laid out
  std::vector<void*> argument_pointers{};  // Into `arguments`, for cuGraphKernelNodeGetParams
};
struct Copy {
  CUDA_MEMCPY3D request{};
};
struct Fill {
  CUDA_MEMSET_NODE_PARAMS request{};
};
struct HostFunction {
  CUDA_HOST_NODE_PARAMS call{};
};
struct Nothing {};
struct RecordEvent {
  std::shared_ptr<Event> event;
  std::uintptr_t handle = 0;
  bool external = false;  // A node even when captured
};
struct AwaitEvent {
  std::shared_ptr<Event> event;
  std::uintptr_t handle = 0;
};
struct ChildGraph {
  std::shared_ptr<Graph> graph;
  std::uintptr_t handle = 0;
};
struct MemAlloc {
  std::shared_ptr<GraphMemoryOwner> memory;
};
struct MemFree {
  std::shared_ptr<GraphMemory> memory;
};
using Operation = std::variant<Nothing, KernelLaunch, Copy, Fill, HostFunction, RecordEvent, AwaitEvent,
                               ChildGraph, MemAlloc, MemFree>;

struct GraphNode {
  std::uintptr_t handle = 0;
  std::uintptr_t origin =
      0;  // The node this one is a copy of: in a clone and in what was made ready to launch
  std::weak_ptr<Graph> graph;
  Operation operation;
  bool enabled = true;
  std::vector<std::shared_ptr<GraphNode>> after;  // Guarded by the graph's lock
};

/// Something of the program's that graphs keep alive: a function to call when the last reference is gone.
struct UserObject {
  void* object = nullptr;
  CUhostFn destroy = nullptr;
  std::uintptr_t handle = 0;
  std::mutex mutex;
  std::uint64_t references = 0;
};

struct Graph {
  std::uintptr_t handle = 0;
  bool owned = false;  // It is the graph of a node, which alone may destroy it
  std::mutex mutex;
  std::vector<std::shared_ptr<GraphNode>> nodes;
  std::map<std::shared_ptr<UserObject>, std::uint64_t> user_objects;  // With this graph's references
  ~Graph();
};

/// A graph ready to launch: a copy of its nodes in an order that respects their dependencies. Their edges
/// are among the copies.
struct GraphExec {
  std::mutex mutex;
  unsigned long long flags = 0;
  std::vector<std::shared_ptr<GraphNode>> nodes;
  ~GraphExec();
};

}  // namespace berth::sim::cu
