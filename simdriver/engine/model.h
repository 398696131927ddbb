// How a simulated GPU shares its SMs over time: a fluid model, advanced analytically from event to event.
//
// Every stream is a queue of runs (identical submissions in a row are one run). Streams belong to clients,
// clients to an entity: a plain process is an entity of its own, all clients of one MPS server are one
// entity. Entities take turns (time slices, with the cost of a switch between them); inside the entity that
// runs, the clients share the SMs max-min fair, each within its own cap, and so do a client's streams by
// priority. The state is plain values, so that it can live in memory shared by processes that do not trust
// each other: every number read from it is taken once and brought into range before it is used, and each
// call's work is bounded. docs/formats/simdriver-state.md has the layout.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace berth::sim {

inline constexpr std::uint32_t kMaxClients = 128;
inline constexpr std::uint32_t kMaxStreams = 256;
inline constexpr std::uint32_t kRunsPerStream = 1024;
inline constexpr std::uint32_t kDonePerStream = 1024;
inline constexpr std::uint32_t kBuckets = 32;
inline constexpr std::uint64_t kBucketNs = 50'000'000;
/// The most events one advance goes through; a GPU further behind than that stood still for the rest.
inline constexpr std::uint32_t kMaxSteps = 200'000;
inline constexpr std::uint32_t kNoStream = 0xFFFFFFFFU;

/// `count` submissions of the same work; count 0 is a barrier on another stream's submission.
struct WorkRun {
  double sm_ns = 0;
  double max_sms = 0;
  std::uint64_t count = 0;
  std::uint64_t wait_sequence = 0;
  std::uint32_t wait_stream = kNoStream;
  std::uint32_t wait_generation = 0;
};

/// Finished submissions (last_sequence - count, last_sequence], evenly spread from first_ns to last_ns.
struct DoneSegment {
  std::uint64_t last_sequence = 0;
  std::uint64_t count = 0;
  std::uint64_t first_ns = 0;
  std::uint64_t last_ns = 0;
};

struct StreamState {
  std::uint32_t in_use = 0;
  std::uint32_t closing = 0;  // Destroyed by its owner; kept for its history until the place is needed.
  std::uint32_t client = 0;
  std::uint32_t generation = 0;
  std::int32_t priority = 0;
  std::uint32_t head = 0;  // Runs [head, tail) are queued; both count up for ever.
  std::uint32_t tail = 0;
  std::uint32_t done_tail = 0;  // Where the next DoneSegment goes; counts up for ever.
  std::uint64_t submitted = 0;
  std::uint64_t completed = 0;
  double item_left = 0;  // SM-nanoseconds left of the submission at the head; 0: not started.
  std::array<WorkRun, kRunsPerStream> runs;
  std::array<DoneSegment, kDonePerStream> done;
};

/// What the model has to know of a client.
struct ClientShare {
  std::uint32_t runnable = 0;  // 0: no such client, or it is in a fault.
  std::uint32_t entity = 0;    // Below kMaxClients: itself. From kMaxClients: the MPS server in that slot.
  double sm_cap = 0;
};

struct ModelState {
  std::uint64_t time_ns = 0;
  std::uint64_t slice_left_ns = 0;
  std::uint64_t switch_left_ns = 0;
  std::uint64_t busy_ns = 0;  // Since the GPU was made.
  std::uint32_t running_entity = 0;
  std::uint32_t streams_high = 0;  // Streams from here on were never used.
  std::array<std::uint64_t, kBuckets> bucket_tag;
  std::array<double, kBuckets> bucket_busy;
  std::array<std::array<double, kMaxClients>, kBuckets> bucket_client;
  std::array<ClientShare, kMaxClients> clients;
  std::array<StreamState, kMaxStreams> streams;
};

struct ModelParams {
  double sm_count = 1;
  std::uint64_t slice_ns = 2'000'000;
  std::uint64_t switch_ns = 0;
};

/// Max-min fair: nobody gets more than its demand, what is left over goes to those who want more.
void shareMaxMin(double total, std::span<const double> demands, std::span<double> shares);

/// The rules over a ModelState. Not thread-safe: the caller holds the GPU's lock.
class Model {
 public:
  /// `state` outlives the model. Parameters outside of what a GPU can have are brought into range.
  Model(ModelState& state, const ModelParams& params);

  /// Lets the GPU work until `now_ns`; a time in the past changes nothing.
  void advanceTo(std::uint64_t now_ns);
  /// Lets time pass without work: the GPU hangs or is gone.
  void stallUntil(std::uint64_t now_ns);

  /// A new, empty stream, or nothing when all are taken.
  std::optional<std::uint32_t> openStream(std::uint32_t client, std::int32_t priority);
  /// No more submissions; what is queued still runs, and its history stays readable while there is room.
  void closeStream(std::uint32_t stream);
  std::uint32_t generation(std::uint32_t stream) const;
  /// Removes a client's streams with all their work.
  void dropClient(std::uint32_t client);

  /// Queues work and returns its sequence number in the stream, from 1; nothing when the queue is full.
  std::optional<std::uint64_t> push(std::uint32_t stream, double sm_ns, double max_sms);
  /// Queues a barrier: later work starts when `after` has finished `sequence`. False when the queue is full.
  bool pushBarrier(std::uint32_t stream, std::uint32_t after, std::uint64_t sequence);

  bool done(std::uint32_t stream, std::uint64_t sequence) const;
  bool clientIdle(std::uint32_t client) const;
  std::uint64_t submitted(std::uint32_t stream) const;
  /// When it finished, or 0. For one that the history has forgotten: the oldest time it remembers.
  std::uint64_t finishedAt(std::uint32_t stream, std::uint64_t sequence) const;

  /// No submission of `stream` up to `sequence` can be finished in less time than this, in ns from now.
  std::uint64_t earliestFinish(std::uint32_t stream, std::uint64_t sequence) const;
  std::uint64_t earliestIdle(std::uint32_t client) const;

  /// Busy share, 0 to 1, of the last `buckets` full buckets.
  double utilisation(std::uint32_t buckets) const;
  double clientUtilisation(std::uint32_t client, std::uint32_t buckets) const;
  std::uint64_t now() const;

 private:
  struct Active {
    std::uint32_t stream = 0;
    std::uint32_t client = 0;
    std::uint32_t entity = 0;
    std::int32_t priority = 0;
    double max_sms = 0;
    double rate = 0;
  };
  struct ActiveSet {
    std::array<Active, kMaxStreams> items;
    std::uint32_t size = 0;
    std::span<Active> span() { return {items.data(), size}; }
  };

  std::uint32_t streamCount() const;
  double capOf(std::uint32_t client) const;
  void settle();
  bool settleStream(StreamState& stream);
  bool barrierOpen(const WorkRun& run) const;
  void collect(ActiveSet& active) const;
  std::uint32_t pickEntity(ActiveSet& active);
  void assignRates(ActiveSet& active, std::uint32_t entity) const;
  void assignWithinClient(std::span<Active> active, std::uint32_t client, double sms) const;
  std::uint64_t step(ActiveSet& active, std::uint64_t limit_ns);
  std::uint64_t untilNextFinish(const Active& active) const;
  void progress(const Active& active, std::uint64_t dt_ns);
  void finish(StreamState& stream, std::uint64_t items, std::uint64_t first_ns, std::uint64_t last_ns) const;
  void account(ActiveSet* active, std::uint64_t dt_ns);
  std::uint32_t touchBucket(std::uint64_t tag);
  std::uint64_t earliestFinishAt(std::uint32_t stream, std::uint64_t sequence, int depth) const;

  ModelState& state_;
  ModelParams params_;
};

}  // namespace berth::sim
