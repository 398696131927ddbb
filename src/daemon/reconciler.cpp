#include "daemon/reconciler.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <string_view>

#include "base/log.h"

namespace berth::daemon {
namespace {

using service::Book;
using service::Operation;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr int kWorkers = 4;
constexpr seconds kInventoryInterval{15};
constexpr seconds kSuperviseInterval{5};
constexpr seconds kUsageInterval{1};
constexpr seconds kEngineInterval{60};
constexpr seconds kOrphanRetry{10};
constexpr std::chrono::milliseconds kEventWait{5000};
constexpr seconds kNoDriverPause{5};

constexpr std::string_view kWorkload = "workload/";
constexpr std::string_view kGpu = "gpu/";
constexpr std::string_view kOperation = "operation/";
constexpr std::string_view kInventory = "inventory";
constexpr std::string_view kOrphans = "orphans";
constexpr std::string_view kMps = "mps";
constexpr std::string_view kGuards = "guards";
constexpr std::string_view kUsage = "usage";
constexpr std::string_view kEngine = "engine";

// XIDs of a program's fatal fault, which under MPS takes all clients of the server along (peers.md 3.5): 13
// graphics engine exception, 31 MMU fault, 43 reset channel, 45 preemptive removal.
constexpr std::array<std::uint64_t, 4> kProgramFaults{13, 31, 43, 45};

void complain(std::string_view what, const Result<void>& result) {
  if (!result) log(LogLevel::Error, what, {{"why", result.error().message}});
}

}  // namespace

Reconciler::~Reconciler() { stop(); }

void Reconciler::attach(service::WorkloadRunner& workloads, service::SharingKeeper& sharing,
                        service::GuardKeeper& guard) {
  workloads_ = &workloads;
  sharing_ = &sharing;
  guard_ = &guard;
}

void Reconciler::begin() {
  queue_ = std::make_unique<WorkQueue>(kWorkers, [this](const std::string& key) { work(key); });
  parts_.desk.onCommit([this](const Book& before, const Book& after) { committed(before, after); });
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const ledger::Gpu& gpu : book->state.gpus) lookAtGpu(gpu.uuid, {});
  for (const auto& [name, workload] : book->workloads) lookAtWorkload(name, {});
  for (const auto& [id, operation] : book->operations) {
    if (operation->state == Operation::State::Running) queue_->add(std::string(kOperation) + id);
  }
  queue_->add(std::string(kEngine));
  queue_->add(std::string(kOrphans));
  queue_->add(std::string(kGuards));
  queue_->addAt(std::string(kUsage), steady_clock::now() + kUsageInterval);
  queue_->addAt(std::string(kMps), steady_clock::now() + kSuperviseInterval);
  queue_->addAt(std::string(kInventory), steady_clock::now() + kInventoryInterval);
  events_ = std::jthread([this](const std::stop_token& stop) { followEvents(stop); });
}

void Reconciler::stop() {
  if (events_.joinable()) {
    events_.request_stop();
    events_.join();
  }
  if (queue_) queue_->stop();
}

void Reconciler::lookAtWorkload(const std::string& name, steady_clock::time_point when) {
  queue_->addAt(std::string(kWorkload) + name, when);
}

void Reconciler::lookAtGpu(const GpuUuid& gpu, steady_clock::time_point when) {
  queue_->addAt(std::string(kGpu) + gpu.value, when);
}

void Reconciler::lookAtInventory() { queue_->add(std::string(kInventory)); }

void Reconciler::sharingChanged(const GpuUuid& gpu) {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const ledger::Berth* berth : ledger::berthsOn(book->state, gpu)) {
    if (berth->holder.kind != ledger::HolderKind::Container) continue;
    lookAtWorkload(berth->holder.name.substr(0, berth->holder.name.find('/')), {});
  }
  for (const auto& [id, operation] : book->operations) {
    if (operation->state == Operation::State::Running) queue_->add(std::string(kOperation) + id);
  }
  parts_.desk.nudge();
}

/// On the committing thread: only adds keys.
void Reconciler::committed(const Book& before, const Book& after) {
  if (also_tell_) also_tell_(before, after);
  for (const auto& [name, workload] : after.workloads) {
    const auto old = before.workloads.find(name);
    if (old == before.workloads.end() || old->second != workload) lookAtWorkload(name, {});
  }
  const bool berths_changed = before.state.berths != after.state.berths;
  if (berths_changed || before.workloads != after.workloads) queue_->add(std::string(kGuards));
  for (const ledger::Gpu& gpu : after.state.gpus) {
    const ledger::Gpu* old = ledger::findGpu(before.state, gpu.uuid);
    const bool changed = old == nullptr || *old != gpu;
    // A stopped container may be what a change of MPS was waiting for.
    if (changed || berths_changed || before.workloads != after.workloads) lookAtGpu(gpu.uuid, {});
    if (!changed) continue;
    for (const ledger::Berth* berth : ledger::berthsOn(after.state, gpu.uuid)) {
      if (berth->holder.kind != ledger::HolderKind::Container) continue;
      lookAtWorkload(berth->holder.name.substr(0, berth->holder.name.find('/')), {});
    }
  }
  for (const auto& [id, operation] : after.operations) {
    if (operation->state == Operation::State::Running) queue_->add(std::string(kOperation) + id);
  }
}

void Reconciler::work(const std::string& key) {
  const std::string_view view = key;
  if (view.starts_with(kWorkload)) {
    workloads_->tend(key.substr(kWorkload.size()));
  } else if (view.starts_with(kGpu)) {
    sharing_->tend(GpuUuid(key.substr(kGpu.size())));
  } else if (view.starts_with(kOperation)) {
    tendOperation(key.substr(kOperation.size()));
  } else if (view == kInventory) {
    tendInventory();
  } else if (view == kOrphans) {
    tendOrphans();
  } else if (view == kEngine) {
    parts_.engine.refresh();
    queue_->addAt(key, steady_clock::now() + kEngineInterval);
  } else if (view == kGuards) {
    tendGuards();
  } else if (view == kUsage) {
    guard_->look();
    queue_->addAt(key, steady_clock::now() + kUsageInterval);
  } else if (view == kMps) {
    sharing_->supervise();
    queue_->addAt(std::string(kMps), steady_clock::now() + kSuperviseInterval);
  }
}

void Reconciler::tendOperation(const std::string& id) {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  const auto found = book->operations.find(id);
  if (found == book->operations.end() || found->second->state != Operation::State::Running) return;
  const Operation& operation = *found->second;
  const service::Progress progress =
      service::progressOf(operation, *book, [this](const GpuUuid& gpu) { return sharing_->inForce(gpu); });
  const bool news = progress.state != service::Progress::State::Running ||
                    progress.percent != operation.percent || progress.message != operation.message;
  if (!news) return;
  complain("the outcome of an operation is not recorded",
           parts_.desk.change([&](service::Draft& draft) -> Result<void> {
             service::conclude(draft, id, progress);
             return {};
           }));
}

/// An operation that waits for limits is looked at again once they are in force.
void Reconciler::tendGuards() {
  if (!guard_->follow()) return;
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const auto& [id, operation] : book->operations) {
    if (operation->state == Operation::State::Running) queue_->add(std::string(kOperation) + id);
  }
}

void Reconciler::tendInventory() {
  if (const Result<void> done = parts_.inventory.refresh(); !done) {
    log(LogLevel::Warning, "the GPUs cannot be listed", {{"why", done.error().message}});
  }
  queue_->addAt(std::string(kInventory), steady_clock::now() + kInventoryInterval);
}

void Reconciler::tendOrphans() {
  if (const Result<void> done = workloads_->removeOrphans(); !done) {
    log(LogLevel::Warning, "leftover containers cannot be looked for", {{"why", done.error().message}});
    queue_->addAt(std::string(kOrphans), steady_clock::now() + kOrphanRetry);
  }
}

void Reconciler::handle(const gpu::GpuEvent& event) {
  complain("a health event is not recorded", parts_.inventory.handle(event));
  const bool program_fault = event.kind == gpu::EventKind::Xid &&
                             std::ranges::find(kProgramFaults, event.data) != kProgramFaults.end();
  if (program_fault) queue_->add(std::string(kMps));
}

void Reconciler::followEvents(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any pause;
  while (!stop.stop_requested()) {
    const auto event = parts_.driver.waitEvent(kEventWait);
    if (event && *event) handle(**event);
    if (event) continue;
    std::unique_lock lock(mutex);
    pause.wait_for(lock, stop, kNoDriverPause, [] { return false; });
  }
}

}  // namespace berth::daemon
