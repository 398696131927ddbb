#include "engine/model.h"

#include <algorithm>
#include <atomic>
#include <bitset>
#include <cmath>
#include <cstddef>
#include <limits>

namespace berth::sim {
namespace {

constexpr double kMaxSmNs = 1e18;
constexpr std::uint64_t kMaxCount = 1ULL << 40U;
constexpr std::uint64_t kFar = 1ULL << 62U;
constexpr std::uint32_t kEntities = 2 * kMaxClients;
constexpr int kSettleRounds = 64;
constexpr int kBarrierDepth = 4;

/// Another process may change the value at any time: read it once, so that what was checked is what is used.
template <typename T>
T once(const T& value) {
  return std::atomic_ref<T>(const_cast<T&>(value)).load(std::memory_order_relaxed);
}

double within(double value, double low, double high) {
  if (!(value >= low)) return low;  // Also what is not a number.
  return value > high ? high : value;
}

std::uint64_t toNs(double value) { return static_cast<std::uint64_t>(within(value, 0, double(kFar))); }

std::uint32_t slotOf(std::uint32_t counter, std::uint32_t size) { return counter % size; }

std::uint32_t queued(const StreamState& stream) {
  const std::uint32_t size = once(stream.tail) - once(stream.head);
  return size <= kRunsPerStream ? size : 0;  // More is nonsense from outside: nothing is queued.
}

double smNs(const WorkRun& run) { return within(once(run.sm_ns), 0, kMaxSmNs); }

std::uint64_t countOf(const WorkRun& run) { return std::min(once(run.count), kMaxCount); }

double leftOfItem(const StreamState& stream, double sm_ns) {
  const double left = within(once(stream.item_left), 0, sm_ns);
  return left > 0 ? left : sm_ns;
}

std::uint64_t stamp(const DoneSegment& segment, std::uint64_t index) {
  const std::uint64_t first = once(segment.first_ns);
  const std::uint64_t last = std::max(once(segment.last_ns), first);
  const std::uint64_t count = once(segment.count);
  if (count <= 1 || index >= count) return last;
  return first + toNs(double(last - first) * double(index) / double(count - 1));
}

/// Adds to `segment` what continues it at the same pace; false when it does not.
bool extend(DoneSegment& segment, std::uint64_t items, std::uint64_t first_ns, std::uint64_t last_ns) {
  if (segment.count == 0 || items != 1 || first_ns < segment.last_ns) return false;
  if (segment.count > 1) {
    const double pace = double(segment.last_ns - segment.first_ns) / double(segment.count - 1);
    if (std::abs(double(first_ns - segment.last_ns) - pace) > 0.5) return false;
  }
  segment.last_sequence += items;
  segment.count += items;
  segment.last_ns = last_ns;
  return true;
}

}  // namespace

void shareMaxMin(double total, std::span<const double> demands, std::span<double> shares) {
  std::fill(shares.begin(), shares.end(), -1.0);
  std::size_t open = demands.size();
  double left = total;
  while (open > 0) {
    const double fair = left / double(open);
    std::size_t satisfied = 0;
    double taken = 0;
    for (std::size_t i = 0; i < demands.size(); ++i) {
      if (shares[i] >= 0 || demands[i] > fair) continue;
      shares[i] = demands[i];
      taken += demands[i];
      ++satisfied;
    }
    left = std::max(0.0, left - taken);
    open -= satisfied;
    if (satisfied > 0) continue;
    for (double& share : shares) {
      if (share < 0) share = fair;
    }
    return;
  }
}

Model::Model(ModelState& state, const ModelParams& params) : state_(state), params_(params) {
  params_.sm_count = within(params_.sm_count, 1, 1024);
  params_.slice_ns = std::clamp<std::uint64_t>(params_.slice_ns, 100'000, 1'000'000'000);
  params_.switch_ns = std::min(params_.switch_ns, params_.slice_ns);
}

std::uint64_t Model::now() const { return std::min(once(state_.time_ns), kFar); }

std::uint32_t Model::streamCount() const { return std::min(once(state_.streams_high), kMaxStreams); }

double Model::capOf(std::uint32_t client) const {
  return within(once(state_.clients[client].sm_cap), 0.01, params_.sm_count);
}

void Model::advanceTo(std::uint64_t now_ns) {
  ActiveSet active;
  for (std::uint32_t steps = 0; steps < kMaxSteps && now() < now_ns; ++steps) {
    settle();
    collect(active);
    if (active.size == 0) break;
    step(active, now_ns - now());
  }
  if (now() < now_ns) state_.time_ns = now_ns;
  settle();
}

void Model::stallUntil(std::uint64_t now_ns) {
  if (now() < now_ns) state_.time_ns = now_ns;
}

/// Goes on to the next event, `limit_ns` at most.
std::uint64_t Model::step(ActiveSet& active, std::uint64_t limit_ns) {
  const std::uint32_t entity = pickEntity(active);
  const std::uint64_t switching = std::min(once(state_.switch_left_ns), params_.switch_ns);
  if (switching > 0) {
    const std::uint64_t dt = std::min(switching, limit_ns);
    account(nullptr, dt);
    state_.switch_left_ns = switching - dt;
    state_.time_ns = now() + dt;
    return dt;
  }
  assignRates(active, entity);
  const std::uint64_t slice = std::clamp<std::uint64_t>(once(state_.slice_left_ns), 1, params_.slice_ns);
  const bool contended = std::any_of(active.span().begin(), active.span().end(),
                                     [entity](const Active& item) { return item.entity != entity; });
  std::uint64_t dt = contended ? std::min(slice, limit_ns) : limit_ns;
  for (const Active& item : active.span()) dt = std::min(dt, untilNextFinish(item));
  account(&active, dt);
  for (const Active& item : active.span()) progress(item, dt);
  state_.slice_left_ns = contended ? slice - std::min(slice, dt) : params_.slice_ns;
  state_.time_ns = now() + dt;
  return dt;
}

void Model::settle() {
  for (int round = 0; round < kSettleRounds; ++round) {
    bool changed = false;
    for (std::uint32_t i = 0; i < streamCount(); ++i) changed = settleStream(state_.streams[i]) || changed;
    if (!changed) return;
  }
}

/// Finishes what costs nothing at the head of the queue: zero work, and barriers that are open.
bool Model::settleStream(StreamState& stream) {
  if (once(stream.in_use) == 0) return false;
  const std::uint32_t client = once(stream.client);
  if (client >= kMaxClients || once(state_.clients[client].runnable) == 0) return false;
  bool changed = false;
  for (std::uint32_t left = queued(stream); left > 0; --left) {
    const WorkRun& run = stream.runs[slotOf(once(stream.head), kRunsPerStream)];
    const std::uint64_t count = countOf(run);
    if (count == 0 && !barrierOpen(run)) break;
    if (count > 0 && smNs(run) > 0) break;
    if (count > 0) finish(stream, count, now(), now());
    ++stream.head;
    changed = true;
  }
  return changed;
}

bool Model::barrierOpen(const WorkRun& run) const {
  const std::uint32_t other = once(run.wait_stream);
  if (other >= kMaxStreams) return true;
  const StreamState& stream = state_.streams[other];
  return once(stream.in_use) == 0 || once(stream.generation) != once(run.wait_generation) ||
         once(stream.completed) >= once(run.wait_sequence);
}

void Model::collect(ActiveSet& active) const {
  active.size = 0;
  for (std::uint32_t i = 0; i < streamCount(); ++i) {
    const StreamState& stream = state_.streams[i];
    const std::uint32_t client = once(stream.client);
    if (once(stream.in_use) == 0 || queued(stream) == 0 || client >= kMaxClients) continue;
    const ClientShare& share = state_.clients[client];
    const std::uint32_t entity = once(share.entity);
    if (once(share.runnable) == 0 || entity >= kEntities) continue;
    const WorkRun& run = stream.runs[slotOf(once(stream.head), kRunsPerStream)];
    if (countOf(run) == 0 || smNs(run) <= 0) continue;
    const double max_sms = within(once(run.max_sms), 0.01, params_.sm_count);
    active.items[active.size++] = Active{i, client, entity, once(stream.priority), max_sms, 0};
  }
}

/// Whose turn it is. Only a change between processes that both have work costs a switch.
std::uint32_t Model::pickEntity(ActiveSet& active) {
  std::bitset<kEntities> wants;
  for (const Active& item : active.span()) wants.set(item.entity);
  const std::uint32_t running = once(state_.running_entity) % kEntities;
  const bool contended = wants.count() > 1;
  if (wants.test(running) && (!contended || once(state_.slice_left_ns) > 0)) return running;
  std::uint32_t next = running;
  do {
    next = (next + 1) % kEntities;
  } while (!wants.test(next));
  state_.running_entity = next;
  state_.slice_left_ns = params_.slice_ns;
  state_.switch_left_ns = contended && next != running ? params_.switch_ns : 0;
  return next;
}

void Model::assignRates(ActiveSet& active, std::uint32_t entity) const {
  std::array<double, kMaxClients> wanted{};
  for (const Active& item : active.span()) {
    if (item.entity == entity) wanted[item.client] += item.max_sms;
  }
  std::array<double, kMaxClients> demands{};
  std::array<double, kMaxClients> shares{};
  std::array<std::uint32_t, kMaxClients> who{};
  std::size_t size = 0;
  for (std::uint32_t client = 0; client < kMaxClients; ++client) {
    if (wanted[client] <= 0) continue;
    who[size] = client;
    demands[size++] = std::min(wanted[client], capOf(client));
  }
  shareMaxMin(params_.sm_count, std::span(demands.data(), size), std::span(shares.data(), size));
  for (Active& item : active.span()) item.rate = 0;
  for (std::size_t i = 0; i < size; ++i) assignWithinClient(active.span(), who[i], shares[i]);
}

/// Streams with a lower priority number first, those with the same one max-min fair.
void Model::assignWithinClient(std::span<Active> active, std::uint32_t client, double sms) const {
  std::array<double, kMaxStreams> demands{};
  std::array<double, kMaxStreams> shares{};
  std::array<std::size_t, kMaxStreams> who{};
  std::int64_t served = std::numeric_limits<std::int64_t>::min();
  while (sms > 1e-9) {
    std::int64_t level = std::numeric_limits<std::int64_t>::max();
    for (const Active& item : active) {
      if (item.client == client && item.priority > served)
        level = std::min<std::int64_t>(level, item.priority);
    }
    std::size_t size = 0;
    for (std::size_t i = 0; i < active.size(); ++i) {
      if (active[i].client != client || active[i].priority != level) continue;
      who[size] = i;
      demands[size++] = active[i].max_sms;
    }
    if (size == 0) return;
    shareMaxMin(sms, std::span(demands.data(), size), std::span(shares.data(), size));
    for (std::size_t i = 0; i < size; ++i) {
      active[who[i]].rate = shares[i];
      sms -= shares[i];
    }
    served = level;
  }
}

std::uint64_t Model::untilNextFinish(const Active& active) const {
  if (active.rate <= 0) return kFar;
  const StreamState& stream = state_.streams[active.stream];
  const WorkRun& run = stream.runs[slotOf(once(stream.head), kRunsPerStream)];
  const double sm_ns = smNs(run);
  const double left =
      leftOfItem(stream, sm_ns) + sm_ns * double(std::max<std::uint64_t>(countOf(run), 1) - 1);
  return std::max<std::uint64_t>(1, toNs(std::ceil(left / active.rate)));
}

void Model::progress(const Active& active, std::uint64_t dt_ns) {
  if (active.rate <= 0) return;
  StreamState& stream = state_.streams[active.stream];
  WorkRun& run = stream.runs[slotOf(once(stream.head), kRunsPerStream)];
  const double sm_ns = smNs(run);
  const std::uint64_t count = countOf(run);
  if (sm_ns <= 0 || count == 0) return;  // Changed under us.
  const double left = leftOfItem(stream, sm_ns);
  const double work = active.rate * double(dt_ns);
  if (work < left) {
    stream.item_left = left - work;
    return;
  }
  const double more = std::floor((work - left) / sm_ns);
  const std::uint64_t items = 1 + std::min(count - 1, toNs(more));
  const std::uint64_t end = now() + dt_ns;
  const std::uint64_t first = std::min(end, now() + toNs(left / active.rate));
  const std::uint64_t last = std::min(end, first + toNs(double(items - 1) * sm_ns / active.rate));
  finish(stream, items, first, last);
  run.count = count - items;
  if (count == items) {
    stream.item_left = 0;
    ++stream.head;
    return;
  }
  stream.item_left = sm_ns - within(work - left - double(items - 1) * sm_ns, 0, sm_ns);
}

void Model::finish(StreamState& stream, std::uint64_t items, std::uint64_t first_ns,
                   std::uint64_t last_ns) const {
  const std::uint64_t completed = once(stream.completed) + items;
  stream.completed = completed;
  const std::uint32_t tail = once(stream.done_tail);
  if (tail > 0 && extend(stream.done[slotOf(tail - 1, kDonePerStream)], items, first_ns, last_ns)) return;
  stream.done[slotOf(tail, kDonePerStream)] = DoneSegment{completed, items, first_ns, last_ns};
  stream.done_tail = tail + 1;
}

/// Books `dt_ns` from now as busy, and on the clients that ran, in the buckets it falls into.
void Model::account(ActiveSet* active, std::uint64_t dt_ns) {
  state_.busy_ns += dt_ns;
  double total = 0;
  if (active != nullptr) {
    for (const Active& item : active->span()) total += item.rate;
  }
  const std::uint64_t end = now() + dt_ns;
  const std::uint64_t window = kBuckets * kBucketNs;
  std::uint64_t from = end > window ? std::max(now(), end - window) : now();
  while (from < end) {
    const std::uint64_t tag = from / kBucketNs;
    const std::uint64_t to = std::min(end, (tag + 1) * kBucketNs);
    const std::uint32_t bucket = touchBucket(tag);
    state_.bucket_busy[bucket] += double(to - from);
    for (std::uint32_t i = 0; total > 0 && i < active->size; ++i) {
      const Active& item = active->items[i];
      state_.bucket_client[bucket][item.client] += double(to - from) * item.rate / total;
    }
    from = to;
  }
}

std::uint32_t Model::touchBucket(std::uint64_t tag) {
  const auto bucket = static_cast<std::uint32_t>(tag % kBuckets);
  if (once(state_.bucket_tag[bucket]) != tag + 1) {
    state_.bucket_tag[bucket] = tag + 1;  // Zero, what a new file holds, is no bucket's tag.
    state_.bucket_busy[bucket] = 0;
    state_.bucket_client[bucket].fill(0);
  }
  return bucket;
}

std::optional<std::uint32_t> Model::openStream(std::uint32_t client, std::int32_t priority) {
  std::optional<std::uint32_t> found;
  for (std::uint32_t i = 0; i < kMaxStreams && !found; ++i) {
    if (once(state_.streams[i].in_use) == 0) found = i;
  }
  for (std::uint32_t i = 0; i < kMaxStreams && !found; ++i) {
    if (once(state_.streams[i].closing) != 0 && queued(state_.streams[i]) == 0) found = i;
  }
  if (!found) return found;
  StreamState& stream = state_.streams[*found];
  stream.in_use = 0;
  stream.closing = 0;
  stream.client = client;
  ++stream.generation;
  stream.priority = priority;
  stream.head = stream.tail = stream.done_tail = 0;
  stream.submitted = stream.completed = 0;
  stream.item_left = 0;
  stream.in_use = 1;
  state_.streams_high = std::max(streamCount(), *found + 1);
  return found;
}

void Model::closeStream(std::uint32_t stream) {
  if (stream < kMaxStreams) state_.streams[stream].closing = 1;
}

std::uint32_t Model::generation(std::uint32_t stream) const {
  return stream < kMaxStreams ? once(state_.streams[stream].generation) : 0;
}

void Model::dropClient(std::uint32_t client) {
  for (StreamState& stream : state_.streams) {
    if (once(stream.in_use) == 0 || once(stream.client) != client) continue;
    stream.in_use = 0;
    stream.closing = 0;
    ++stream.generation;
  }
  for (auto& bucket : state_.bucket_client) bucket[client % kMaxClients] = 0;
}

std::optional<std::uint64_t> Model::push(std::uint32_t stream, double sm_ns, double max_sms) {
  if (stream >= kMaxStreams) return std::nullopt;
  StreamState& target = state_.streams[stream];
  const std::uint32_t size = queued(target);
  const double work = within(sm_ns, 0, kMaxSmNs);
  const std::uint32_t tail = once(target.tail);
  if (size > 0) {
    WorkRun& run = target.runs[slotOf(tail - 1, kRunsPerStream)];
    const bool same = run.count > 0 && run.count < kMaxCount && run.sm_ns == work && run.max_sms == max_sms;
    if (same) {
      ++run.count;
      return ++target.submitted;
    }
  }
  if (size == 0) target.head = tail;
  if (size >= kRunsPerStream) return std::nullopt;
  target.runs[slotOf(tail, kRunsPerStream)] = WorkRun{work, max_sms, 1, 0, kNoStream, 0};
  target.tail = tail + 1;
  const std::uint64_t sequence = ++target.submitted;
  if (work <= 0) settle();
  return sequence;
}

bool Model::pushBarrier(std::uint32_t stream, std::uint32_t after, std::uint64_t sequence) {
  if (stream >= kMaxStreams || after >= kMaxStreams) return true;
  StreamState& target = state_.streams[stream];
  if (queued(target) >= kRunsPerStream) return false;
  const std::uint32_t tail = once(target.tail);
  if (queued(target) == 0) target.head = tail;
  const std::uint64_t known = std::min(sequence, once(state_.streams[after].submitted));
  target.runs[slotOf(tail, kRunsPerStream)] = WorkRun{0, 0, 0, known, after, generation(after)};
  target.tail = tail + 1;
  settle();
  return true;
}

bool Model::done(std::uint32_t stream, std::uint64_t sequence) const {
  return stream >= kMaxStreams || once(state_.streams[stream].completed) >= sequence;
}

bool Model::clientIdle(std::uint32_t client) const {
  for (std::uint32_t i = 0; i < streamCount(); ++i) {
    const StreamState& stream = state_.streams[i];
    if (once(stream.in_use) != 0 && once(stream.client) == client && queued(stream) > 0) return false;
  }
  return true;
}

std::uint64_t Model::submitted(std::uint32_t stream) const {
  return stream < kMaxStreams ? once(state_.streams[stream].submitted) : 0;
}

std::uint64_t Model::finishedAt(std::uint32_t stream, std::uint64_t sequence) const {
  if (stream >= kMaxStreams || !done(stream, sequence)) return 0;
  const StreamState& source = state_.streams[stream];
  const std::uint32_t tail = once(source.done_tail);
  const std::uint32_t kept = std::min(tail, kDonePerStream);
  std::uint64_t oldest = 0;
  for (std::uint32_t back = 1; back <= kept; ++back) {
    const DoneSegment& segment = source.done[slotOf(tail - back, kDonePerStream)];
    const std::uint64_t last = once(segment.last_sequence);
    const std::uint64_t before = last - std::min(once(segment.count), last);
    if (sequence > before) return stamp(segment, sequence - before - 1);
    oldest = once(segment.first_ns);
  }
  return oldest;
}

std::uint64_t Model::earliestFinish(std::uint32_t stream, std::uint64_t sequence) const {
  return earliestFinishAt(stream, sequence, 0);
}

std::uint64_t Model::earliestFinishAt(std::uint32_t stream, std::uint64_t sequence, int depth) const {
  if (done(stream, sequence)) return 0;
  const StreamState& source = state_.streams[stream];
  const double cap = capOf(std::min(once(source.client), kMaxClients - 1));
  std::uint64_t reached = once(source.completed);
  double total = 0;
  bool looked = false;
  const std::uint32_t head = once(source.head);
  for (std::uint32_t i = 0; i < queued(source) && reached < sequence; ++i) {
    const WorkRun& run = source.runs[slotOf(head + i, kRunsPerStream)];
    const std::uint64_t count = std::min(countOf(run), sequence - reached);
    if (countOf(run) == 0 && depth < kBarrierDepth && !looked && !barrierOpen(run)) {
      looked = true;  // One for each queue: the work stays bounded, the result a lower bound.
      const auto other = earliestFinishAt(once(run.wait_stream), once(run.wait_sequence), depth + 1);
      total = std::max(total, double(other));
    }
    if (count == 0) continue;
    const double rate = std::min(cap, within(once(run.max_sms), 0.01, params_.sm_count));
    const double first = i == 0 ? leftOfItem(source, smNs(run)) : smNs(run);
    total += (first + smNs(run) * double(count - 1)) / rate;
    reached += count;
  }
  return toNs(std::ceil(total));
}

std::uint64_t Model::earliestIdle(std::uint32_t client) const {
  std::uint64_t latest = 0;
  for (std::uint32_t i = 0; i < streamCount(); ++i) {
    const StreamState& stream = state_.streams[i];
    if (once(stream.in_use) == 0 || once(stream.client) != client) continue;
    latest = std::max(latest, earliestFinish(i, once(stream.submitted)));
  }
  return latest;
}

double Model::utilisation(std::uint32_t buckets) const {
  double busy = 0;
  const std::uint64_t current = now() / kBucketNs;
  const std::uint32_t size = std::clamp(buckets, 1U, kBuckets - 1);
  for (std::uint64_t back = 1; back <= size && back <= current; ++back) {
    const std::uint64_t tag = current - back;
    const auto bucket = static_cast<std::size_t>(tag % kBuckets);
    if (once(state_.bucket_tag[bucket]) == tag + 1) busy += once(state_.bucket_busy[bucket]);
  }
  return within(busy / (double(size) * double(kBucketNs)), 0, 1);
}

double Model::clientUtilisation(std::uint32_t client, std::uint32_t buckets) const {
  double busy = 0;
  const std::uint64_t current = now() / kBucketNs;
  const std::uint32_t size = std::clamp(buckets, 1U, kBuckets - 1);
  for (std::uint64_t back = 1; back <= size && back <= current; ++back) {
    const std::uint64_t tag = current - back;
    const auto bucket = static_cast<std::size_t>(tag % kBuckets);
    if (once(state_.bucket_tag[bucket]) != tag + 1) continue;
    busy += once(state_.bucket_client[bucket][client % kMaxClients]);
  }
  return within(busy / (double(size) * double(kBucketNs)), 0, 1);
}

}  // namespace berth::sim
