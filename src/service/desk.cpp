#include "service/desk.h"

#include <algorithm>
#include <utility>

#include "service/rows.h"

namespace berth::service {
namespace {

constexpr std::size_t kFinishedOperationsKept = 200;
// In a copy of the book, so that a grant need not move all the others.
constexpr std::size_t kRoomForBerths = 64;

std::string eventKind(const arbiter::Change& change) {
  struct Kind {
    std::string operator()(const arbiter::ChangeOwner& /*change*/) const { return "gpu.owner"; }
    std::string operator()(const arbiter::Grant& /*change*/) const { return "berth.granted"; }
    std::string operator()(const arbiter::Revoke& /*change*/) const { return "berth.revoked"; }
    std::string operator()(const arbiter::ChangeMode& /*change*/) const { return "gpu.mode"; }
    std::string operator()(const arbiter::ChangeKubernetes& /*change*/) const { return "kubernetes"; }
    std::string operator()(const arbiter::ChangeLoan& /*change*/) const { return "gpu.loan"; }
  };
  return std::visit(Kind{}, change);
}

const GpuUuid* gpuOf(const arbiter::Change& change) {
  struct Gpu {
    const GpuUuid* operator()(const arbiter::ChangeOwner& change) const { return &change.gpu; }
    const GpuUuid* operator()(const arbiter::Grant& change) const { return &change.berth.gpu; }
    const GpuUuid* operator()(const arbiter::Revoke& change) const { return &change.berth.gpu; }
    const GpuUuid* operator()(const arbiter::ChangeMode& change) const { return &change.gpu; }
    const GpuUuid* operator()(const arbiter::ChangeKubernetes& /*change*/) const { return nullptr; }
    const GpuUuid* operator()(const arbiter::ChangeLoan& change) const { return &change.gpu(); }
  };
  return std::visit(Gpu{}, change);
}

/// The record of that name as a copy that only the draft has; nullptr when there is none.
template <typename Record>
Record* ownCopy(std::map<std::string, std::shared_ptr<const Record>>& records, const std::string& name) {
  const auto found = records.find(name);
  if (found == records.end()) return nullptr;
  auto copy = std::make_shared<Record>(*found->second);
  Record* record = copy.get();
  found->second = std::move(copy);
  return record;
}

/// Drops the oldest finished operations from memory; the ledger trims its own.
void trimOperations(Book& book) {
  std::vector<std::pair<WallTime, std::string>> finished;
  for (const auto& [id, operation] : book.operations) {
    if (operation->state != Operation::State::Running) finished.emplace_back(operation->finished, id);
  }
  if (finished.size() <= kFinishedOperationsKept) return;
  std::ranges::sort(finished);
  finished.resize(finished.size() - kFinishedOperationsKept);
  for (const auto& [when, id] : finished) book.operations.erase(id);
}

}  // namespace

std::string_view name(Operation::State state) {
  switch (state) {
    case Operation::State::Running:
      return "running";
    case Operation::State::Succeeded:
      return "succeeded";
    case Operation::State::Failed:
      return "failed";
  }
  return "running";
}

Draft::Draft(const Book& from, WallTime time) : now(time) {
  book.state.berths.reserve(from.state.berths.size() + kRoomForBerths);
  book = from;
}

Result<arbiter::Plan> Draft::decide(const arbiter::Request& request, const arbiter::Policy& policy) {
  TRY(arbiter::Plan plan, arbiter::decide(book.state, book.occupancy, request, policy));
  for (const arbiter::Change& change : plan.changes) {
    const GpuUuid* uuid = gpuOf(change);
    const ledger::Gpu* gpu = uuid == nullptr ? nullptr : ledger::findGpu(book.state, *uuid);
    event(eventKind(change), gpu == nullptr ? "kubernetes" : "GPU " + std::to_string(gpu->index),
          arbiter::describe(change, book.state));
  }
  book.state = arbiter::apply(std::move(book.state), plan);
  book.occupancy.apply(plan);
  return plan;
}

void Draft::putGpu(const ledger::Gpu& gpu) {
  if (ledger::Gpu* known = ledger::findGpu(book.state, gpu.uuid)) {
    *known = gpu;
    return;
  }
  const auto place = std::ranges::upper_bound(book.state.gpus, gpu.index, {}, &ledger::Gpu::index);
  book.state.gpus.insert(place, gpu);
  book.occupancy = arbiter::Occupancy(book.state);
}

WorkloadRecord* Draft::workload(const std::string& name) { return ownCopy(book.workloads, name); }

VmRecord* Draft::vm(const std::string& name) { return ownCopy(book.vms, name); }

void Draft::putVm(VmRecord record) {
  const std::string name = record.name;
  book.vms[name] = std::make_shared<const VmRecord>(std::move(record));
}

ImageRecord* Draft::image(const std::string& name) { return ownCopy(book.images, name); }

void Draft::putImage(ImageRecord record) {
  const std::string name = record.info.name;
  book.images[name] = std::make_shared<const ImageRecord>(std::move(record));
}

void Draft::putWorkload(WorkloadRecord record) {
  const std::string name = record.spec.name.value;
  book.workloads[name] = std::make_shared<const WorkloadRecord>(std::move(record));
}

std::string Draft::openOperation(Operation operation) {
  operation.id = "op-" + std::to_string(book.next_operation++);
  operation.created = now;
  const std::string id = operation.id;
  book.operations[id] = std::make_shared<const Operation>(std::move(operation));
  return id;
}

Operation* Draft::operation(const std::string& id) { return ownCopy(book.operations, id); }

void Draft::event(std::string kind, std::string subject, std::string message) {
  events.push_back(Event{0, now, std::move(kind), std::move(subject), std::move(message)});
}

Result<std::unique_ptr<Desk>> Desk::open(ledger::Ledger& ledger, const Clock& clock, arbiter::Policy policy) {
  TRY(Book book, readBook(ledger));
  std::unique_ptr<Desk> desk(new Desk(ledger, clock, policy));
  desk->book_ = std::make_shared<const Book>(std::move(book));
  return desk;
}

std::shared_ptr<const Book> Desk::book() const {
  const std::scoped_lock lock(mutex_);
  return book_;
}

Result<void> Desk::commit(Draft draft) {
  const std::shared_ptr<const Book> before = book();
  TRY_VOID(store(*before, draft));
  trimOperations(draft.book);
  const auto next = std::make_shared<const Book>(std::move(draft.book));
  {
    const std::scoped_lock lock(mutex_);
    book_ = next;
    ++nudges_;
  }
  changed_.notify_all();
  if (listener_) listener_(*before, *next);
  return {};
}

Result<void> Desk::store(const Book& before, const Draft& draft) {
  const std::scoped_lock lock(ledger_mutex_);
  TRY(ledger::Transaction transaction, ledger_.begin("change"));
  TRY_VOID(writeDifference(transaction, before, draft.book));
  for (const Event& event : draft.events) TRY_VOID(transaction.appendEvent(toRow(event)));
  return transaction.commit();
}

bool Desk::waitUntil(const std::function<bool(const Book&)>& done,
                     std::chrono::steady_clock::time_point deadline, const std::stop_token& stop) const {
  std::unique_lock lock(mutex_);
  while (true) {
    const std::shared_ptr<const Book> current = book_;
    const std::uint64_t seen = nudges_;
    lock.unlock();
    if (done(*current)) return true;
    lock.lock();
    const auto news = [&] { return nudges_ != seen; };
    if (!changed_.wait_until(lock, stop, deadline, news)) return false;
  }
}

Result<std::optional<std::string>> Desk::note(std::string_view key) const {
  const std::scoped_lock lock(ledger_mutex_);
  return ledger_.setting(key);
}

Result<void> Desk::putNote(std::string_view key, std::string_view text) {
  const std::scoped_lock lock(ledger_mutex_);
  TRY(ledger::Transaction transaction, ledger_.begin("note"));
  if (text.empty()) {
    TRY_VOID(transaction.deleteSetting(key));
  } else {
    TRY_VOID(transaction.putSetting(key, text));
  }
  return transaction.commit();
}

void Desk::nudge() const {
  {
    const std::scoped_lock lock(mutex_);
    ++nudges_;
  }
  changed_.notify_all();
}

Result<std::vector<Event>> Desk::events(std::int64_t since, int limit) const {
  const std::scoped_lock lock(ledger_mutex_);
  TRY(const std::vector<ledger::Event> rows, ledger_.events(since, limit));
  std::vector<Event> events;
  events.reserve(rows.size());
  for (const ledger::Event& row : rows) events.push_back(fromRow(row));
  return events;
}

}  // namespace berth::service
