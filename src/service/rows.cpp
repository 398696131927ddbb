#include "service/rows.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json.hpp>

#include "base/text.h"
#include "http/error_mapping.h"
#include "service/vm_rows.h"

namespace berth::service {
namespace {

using Milliseconds = std::chrono::milliseconds;

constexpr int kOperationsRead = 200;

/// The setting that says that a GPU awaits a reset.
std::string resetKey(const GpuUuid& gpu) { return "awaits-reset/" + gpu.value; }

std::int64_t toMs(WallTime time) {
  return std::chrono::duration_cast<Milliseconds>(time.time_since_epoch()).count();
}

WallTime fromMs(std::int64_t ms) { return WallTime(Milliseconds(ms)); }

template <typename Enum, std::size_t N>
struct Names {
  std::array<std::string_view, N> names;

  std::string of(Enum value) const { return std::string(names.at(static_cast<std::size_t>(value))); }
  Result<Enum> parse(std::string_view text, std::string_view what) const {
    const auto found = std::ranges::find(names, text);
    if (found == names.end()) {
      return fail(ErrorCode::Corrupt,
                  "the ledger holds an unknown " + std::string(what) + " \"" + std::string(text) + "\"");
    }
    return static_cast<Enum>(found - names.begin());
  }
};

constexpr Names<Phase, 5> kPhases{{"waiting", "starting", "running", "exited", "done"}};
constexpr Names<Desired, 3> kDesired{{"running", "stopped", "deleted"}};
constexpr Names<Outcome, 3> kOutcomes{{"none", "succeeded", "failed"}};
constexpr Names<Operation::State, 3> kOperationStates{{"running", "succeeded", "failed"}};

std::string stringsToJson(const std::vector<std::string>& strings) {
  return boost::json::serialize(boost::json::value_from(strings));
}

Result<std::vector<std::string>> stringsFromJson(std::string_view text) {
  if (text.empty()) return std::vector<std::string>{};
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  const boost::json::array* array = error ? nullptr : value.if_array();
  if (array == nullptr) return fail(ErrorCode::Corrupt, "the ledger holds a list that is not one");
  std::vector<std::string> strings;
  for (const boost::json::value& item : *array) {
    if (!item.is_string())
      return fail(ErrorCode::Corrupt, "the ledger holds a list of other things than text");
    strings.emplace_back(item.get_string());
  }
  return strings;
}

ledger::ContainerRecord toRow(const std::string& workload, const ContainerRecord& c) {
  ledger::ContainerRecord row;
  row.name = c.name;
  row.workload = WorkloadName(workload);
  row.pod = c.pod;
  row.spec = c.spec;
  row.phase = kPhases.of(c.phase);
  row.engine_id = c.engine_id;
  row.attempt = c.attempt;
  row.restarts = c.restarts;
  row.exit_code = c.exit_code;
  row.counted = c.counted;
  row.not_before = toMs(c.not_before);
  row.started = toMs(c.started);
  row.finished = toMs(c.finished);
  if (c.sharing) {
    row.mode = std::string(ledger::name(c.sharing->mode));
    row.mps_generation = c.sharing->mps_generation;
  }
  row.message = c.message;
  return row;
}

Result<ContainerRecord> fromRow(const ledger::ContainerRecord& row) {
  ContainerRecord c;
  c.name = row.name;
  c.pod = row.pod;
  c.spec = row.spec;
  TRY(c.phase, kPhases.parse(row.phase, "container phase"));
  c.engine_id = row.engine_id;
  c.attempt = row.attempt;
  c.restarts = row.restarts;
  c.exit_code = row.exit_code;
  c.counted = row.counted;
  c.not_before = fromMs(row.not_before);
  c.started = fromMs(row.started);
  c.finished = fromMs(row.finished);
  if (!row.mode.empty()) {
    SharingStamp stamp;
    if (!ledger::fromName(row.mode, stamp.mode)) {
      return fail(ErrorCode::Corrupt, "the ledger holds an unknown mode \"" + row.mode + "\"");
    }
    stamp.mps_generation = row.mps_generation;
    c.sharing = stamp;
  }
  c.message = row.message;
  return c;
}

ledger::WorkloadRecord toRow(const WorkloadRecord& record) {
  ledger::WorkloadRecord row;
  row.name = record.spec.name;
  row.kind = std::string(manifest::name(record.spec.kind));
  row.name_space = record.spec.name_space;
  row.source = record.source;
  row.spec = manifest::toJson(record.spec);
  row.desired = kDesired.of(record.desired);
  row.outcome = kOutcomes.of(record.outcome);
  row.succeeded = record.succeeded;
  row.failed = record.failed;
  row.message = record.message;
  row.created = toMs(record.created);
  return row;
}

Result<WorkloadRecord> fromRow(const ledger::WorkloadRecord& row) {
  WorkloadRecord record;
  TRY(record.spec, manifest::fromJson(row.spec).during("workload " + row.name.value));
  TRY(record.desired, kDesired.parse(row.desired, "wish for a workload"));
  TRY(record.outcome, kOutcomes.parse(row.outcome, "outcome of a workload"));
  record.succeeded = row.succeeded;
  record.failed = row.failed;
  record.message = row.message;
  record.source = row.source;
  record.created = fromMs(row.created);
  return record;
}

ledger::OperationRecord toRow(const Operation& operation) {
  constexpr std::string_view kPrefix = "op-";
  ledger::OperationRecord row;
  row.id = parseWholeNumber(std::string_view(operation.id).substr(kPrefix.size())).value_or(0);
  row.kind = operation.kind;
  row.subject = operation.subject;
  row.state = kOperationStates.of(operation.state);
  row.percent = operation.percent;
  row.message = operation.message;
  row.targets = stringsToJson(operation.targets);
  row.warnings = stringsToJson(operation.warnings);
  if (operation.error) row.error = boost::json::serialize(http::toJson(*operation.error));
  row.result = operation.result;
  row.created = toMs(operation.created);
  row.finished = toMs(operation.finished);
  return row;
}

Result<Operation> fromRow(const ledger::OperationRecord& row) {
  Operation operation;
  operation.id = "op-" + std::to_string(row.id);
  operation.kind = row.kind;
  operation.subject = row.subject;
  TRY(operation.state, kOperationStates.parse(row.state, "state of an operation"));
  operation.percent = row.percent;
  operation.message = row.message;
  TRY(operation.targets, stringsFromJson(row.targets));
  TRY(operation.warnings, stringsFromJson(row.warnings));
  if (!row.error.empty()) {
    boost::system::error_code error;
    const boost::json::value value = boost::json::parse(row.error, error);
    operation.error = error ? std::nullopt : http::errorFromJson(value);
    if (!operation.error) return fail(ErrorCode::Corrupt, operation.id + " has an error that is none");
  }
  operation.result = row.result;
  operation.created = fromMs(row.created);
  operation.finished = fromMs(row.finished);
  return operation;
}

Result<void> writeWorkload(ledger::Transaction& transaction, const WorkloadRecord* before,
                           const WorkloadRecord& after) {
  const std::string& name = after.spec.name.value;
  TRY_VOID(transaction.putWorkload(toRow(after)));
  for (const ContainerRecord& c : after.containers) {
    const bool known =
        before != nullptr && std::ranges::find(before->containers, c) != before->containers.end();
    if (!known) TRY_VOID(transaction.putContainer(toRow(name, c)));
  }
  if (before == nullptr) return {};
  for (const ContainerRecord& old : before->containers) {
    const bool kept =
        std::ranges::find(after.containers, old.name, &ContainerRecord::name) != after.containers.end();
    if (!kept) TRY_VOID(transaction.deleteContainer(old.name));
  }
  return {};
}

Result<void> writeWorkloads(ledger::Transaction& transaction, const Book& before, const Book& after) {
  for (const auto& [name, record] : after.workloads) {
    const auto old = before.workloads.find(name);
    if (old != before.workloads.end() && old->second == record) continue;
    TRY_VOID(
        writeWorkload(transaction, old == before.workloads.end() ? nullptr : old->second.get(), *record));
  }
  for (const auto& [name, record] : before.workloads) {
    if (!after.workloads.contains(name)) TRY_VOID(transaction.deleteWorkload(WorkloadName(name)));
  }
  return {};
}

Result<void> writeReservations(ledger::Transaction& transaction, const Book& before, const Book& after) {
  for (const auto& [name, reservation] : after.reservations) {
    const auto old = before.reservations.find(name);
    if (old != before.reservations.end() && old->second == reservation) continue;
    TRY_VOID(transaction.putReservation({name, reservation.gpus, toMs(reservation.created)}));
  }
  for (const auto& [name, reservation] : before.reservations) {
    if (!after.reservations.contains(name)) TRY_VOID(transaction.deleteReservation(name));
  }
  return {};
}

Result<void> writeOperations(ledger::Transaction& transaction, const Book& before, const Book& after) {
  for (const auto& [id, operation] : after.operations) {
    const auto old = before.operations.find(id);
    if (old != before.operations.end() && old->second == operation) continue;
    TRY_VOID(transaction.putOperation(toRow(*operation)));
  }
  return {};
}

Result<void> readWorkloads(ledger::Ledger& ledger, Book& book) {
  std::map<std::string, WorkloadRecord> workloads;
  TRY(const std::vector<ledger::WorkloadRecord> rows, ledger.workloads());
  for (const ledger::WorkloadRecord& row : rows) {
    TRY(workloads[row.name.value], fromRow(row));
  }
  TRY(const std::vector<ledger::ContainerRecord> containers, ledger.containers());
  for (const ledger::ContainerRecord& row : containers) {
    TRY(ContainerRecord container, fromRow(row));
    const auto owner = workloads.find(row.workload.value);
    const std::size_t specs = owner == workloads.end() ? 0 : owner->second.spec.containers.size();
    if (container.spec < 0 || static_cast<std::size_t>(container.spec) >= specs) {
      return fail(ErrorCode::Corrupt, "the ledger holds container " + row.name + " of no workload");
    }
    owner->second.containers.push_back(std::move(container));
  }
  for (auto& [name, record] : workloads) {
    std::ranges::sort(record.containers, {},
                      [](const ContainerRecord& c) { return std::pair(c.pod, c.spec); });
    book.workloads[name] = std::make_shared<const WorkloadRecord>(std::move(record));
  }
  return {};
}

Result<void> readAwaitedResets(ledger::Ledger& ledger, Book& book) {
  for (const ledger::Gpu& gpu : book.state.gpus) {
    TRY(std::optional<std::string> boot_id, ledger.setting(resetKey(gpu.uuid)));
    if (boot_id) book.awaits_reset[gpu.uuid] = *std::move(boot_id);
  }
  return {};
}

Result<void> writeAwaitedResets(ledger::Transaction& transaction, const Book& before, const Book& after) {
  for (const auto& [gpu, boot_id] : before.awaits_reset) {
    if (!after.awaits_reset.contains(gpu)) TRY_VOID(transaction.deleteSetting(resetKey(gpu)));
  }
  for (const auto& [gpu, boot_id] : after.awaits_reset) {
    const auto old = before.awaits_reset.find(gpu);
    if (old != before.awaits_reset.end() && old->second == boot_id) continue;
    TRY_VOID(transaction.putSetting(resetKey(gpu), boot_id));
  }
  return {};
}

Result<void> readOperations(ledger::Ledger& ledger, Book& book) {
  TRY(std::vector<ledger::OperationRecord> rows, ledger.operations(kOperationsRead));
  TRY(std::vector<ledger::OperationRecord> unfinished, ledger.unfinishedOperations());
  std::ranges::move(unfinished, std::back_inserter(rows));
  for (const ledger::OperationRecord& row : rows) {
    TRY(Operation operation, fromRow(row));
    const std::string id = operation.id;
    book.operations[id] = std::make_shared<const Operation>(std::move(operation));
    book.next_operation = std::max(book.next_operation, row.id + 1);
  }
  return {};
}

}  // namespace

Result<Book> readBook(ledger::Ledger& ledger) {
  Book book;
  TRY(book.state, ledger.loadState());
  book.occupancy = arbiter::Occupancy(book.state);
  TRY(const std::vector<ledger::Reservation> reservations, ledger.reservations());
  for (const ledger::Reservation& row : reservations)
    book.reservations[row.name] = {row.gpus, fromMs(row.created)};
  TRY_VOID(readAwaitedResets(ledger, book));
  TRY_VOID(readWorkloads(ledger, book));
  TRY_VOID(readVms(ledger, book));
  TRY_VOID(readOperations(ledger, book));
  return book;
}

Result<void> writeDifference(ledger::Transaction& transaction, const Book& before, const Book& after) {
  TRY_VOID(transaction.saveState(before.state, after.state));
  TRY_VOID(writeReservations(transaction, before, after));
  TRY_VOID(writeAwaitedResets(transaction, before, after));
  TRY_VOID(writeWorkloads(transaction, before, after));
  TRY_VOID(writeVms(transaction, before, after));
  return writeOperations(transaction, before, after);
}

ledger::Event toRow(const Event& event) {
  return ledger::Event{0, toMs(event.time), event.kind, event.subject, event.message, ""};
}

Event fromRow(const ledger::Event& row) {
  return Event{row.seq, fromMs(row.time), row.kind, row.subject, row.message};
}

}  // namespace berth::service
