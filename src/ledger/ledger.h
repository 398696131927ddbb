// INTERFACE WANTED BY THE SERVICE (from the owner of src/service; implement this, extend as your task says: repair,
// fail points, locking). Replace this paragraph by the module's own.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "ledger/failpoint.h"
#include "ledger/state.h"

namespace berth::ledger {

struct ReservationRow { std::string name; int gpus = 0; std::int64_t created_ms = 0; };

struct WorkloadRow {
  std::string name;
  std::string kind;
  std::string name_space;
  std::string source;   // File name, for people.
  std::string spec;     // JSON of manifest::Workload; opaque here.
  std::string desired;  // "running", "stopped", "deleted"
  std::string outcome;  // "none", "succeeded", "failed"
  int succeeded = 0;
  int failed = 0;
  std::string message;
  std::int64_t created_ms = 0;
};

struct ContainerRow {
  std::string name;      // Primary key "<workload>/<pod>/<container>"
  std::string workload;  // References workload(name) on delete cascade
  int pod = 0;
  int spec = 0;
  std::string phase;
  std::string engine_id;
  std::int64_t attempt = 0;
  int restarts = 0;
  std::optional<int> exit_code;
  bool counted = false;
  std::int64_t not_before_ms = 0;
  std::int64_t started_ms = 0;
  std::int64_t finished_ms = 0;
  std::string mode;                  // Empty: no GPU, or not running
  std::int64_t mps_generation = 0;
  std::string message;
};

struct OperationRow {
  std::int64_t number = 0;
  std::string kind, subject, state, message, targets /*JSON array*/, warnings /*JSON array*/, error /*JSON or empty*/, result;
  int percent = 0;
  std::int64_t created_ms = 0, finished_ms = 0;
};

struct EventRow {
  std::int64_t seq = 0;
  std::int64_t time_ms = 0;
  std::string kind, subject, message, data /*JSON*/;
};

/// Everything in one read, at start.
struct Contents {
  State state;
  std::vector<ReservationRow> reservations;
  std::vector<WorkloadRow> workloads;
  std::vector<ContainerRow> containers;
  std::vector<OperationRow> operations;  // All unfinished ones and the newest 200 finished
  std::int64_t next_operation = 1;
  std::map<std::string, std::string> settings;
};

class Ledger;

/// Writes of one transaction, in memory until commit. put = insert or replace.
class Transaction {
 public:
  void saveState(const State& before, const State& after);  // Only the rows that differ.
  void putReservation(const ReservationRow& row);
  void eraseReservation(std::string_view name);
  void putWorkload(const WorkloadRow& row);
  void eraseWorkload(std::string_view name);  // and its containers
  void putContainer(const ContainerRow& row);
  void eraseContainer(std::string_view name);
  void putOperation(const OperationRow& row);
  void putSetting(std::string_view key, std::string_view value);
  void addEvent(const EventRow& row);  // seq is given by the ledger
};

class Ledger {
 public:
  static Result<std::unique_ptr<Ledger>> open(const std::filesystem::path& directory, FailPoint& failpoint);
  Result<Contents> load();
  Transaction begin();
  Result<void> commit(Transaction transaction);
  Result<std::vector<EventRow>> events(std::int64_t since, int limit);  // seq > since, oldest first
};

}  // namespace berth::ledger
