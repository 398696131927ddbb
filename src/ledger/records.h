// The rows the ledger keeps beside the State, as plain values. Times are milliseconds since the epoch (UTC),
// 0: not yet. Texts called JSON are opaque here. docs/formats/ledger.md says what each table means.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"

namespace berth::ledger {

/// GPUs kept for a VM to come; their berths are of HolderKind::Reservation.
struct Reservation {
  std::string name;
  int gpus = 0;
  std::int64_t created = 0;
  bool operator==(const Reservation&) const = default;
};

/// Desired and outcome are 'running', 'stopped' or 'deleted' and 'none', 'succeeded' or 'failed'.
struct WorkloadRecord {
  WorkloadName name;
  std::string kind;
  std::string name_space;
  std::string source;  // What the manifest's file was called, for messages.
  std::string spec;    // JSON
  std::string desired;
  std::string outcome;
  int succeeded = 0;  // Pods of a Job.
  int failed = 0;
  std::string message;
  std::int64_t created = 0;
  bool operator==(const WorkloadRecord&) const = default;
};

/// Phase is 'waiting', 'starting', 'running', 'exited' or 'done'.
struct ContainerRecord {
  std::string name;  // "<workload>/<pod number>/<container>"
  WorkloadName workload;
  int pod = 0;
  int spec = 0;  // Position among the containers of the workload's spec.
  std::string phase;
  ContainerId engine_id;
  std::int64_t attempt = 0;
  int restarts = 0;
  std::optional<int> exit_code;
  bool counted = false;
  std::int64_t not_before = 0;
  std::int64_t started = 0;
  std::int64_t finished = 0;
  std::string mode;  // Its GPU's when it was started; empty: no GPU, or not running.
  std::int64_t mps_generation = 0;
  std::string message;
  bool operator==(const ContainerRecord&) const = default;
};

/// Desired is 'running', 'stopped', 'deallocated' or 'deleted'; power and provisioning are the ARM family's
/// codes
/// ("PowerState/running", "Succeeded"); policy is 'hold', 'lend' or 'release'.
struct VmRecord {
  std::string name;
  std::string uuid;
  std::string spec;  // JSON
  std::string desired;
  std::string power;
  std::string provisioning;
  std::string policy;
  std::int64_t restarts_wanted = 0;
  std::int64_t restarts_done = 0;
  std::int64_t attempts = 0;
  std::int64_t deadline = 0;  // Of what is going on: a recall, a shutdown.
  std::string boot_id;        // The host's boot in which it was last seen running.
  std::string addresses;      // JSON
  std::string message;
  std::string error;  // JSON, or empty.
  std::int64_t created = 0;
  bool operator==(const VmRecord&) const = default;
};

/// Desired is 'present' or 'deleted', state 'importing', 'ready' or 'failed'.
struct ImageRecord {
  std::string name;
  std::string source;  // The file it is, or was, imported from.
  std::string spec;    // JSON
  std::string desired;
  std::string state;
  int percent = 0;
  std::int64_t virtual_bytes = 0;
  std::string sha256;
  std::string error;  // JSON, or empty.
  std::int64_t created = 0;
  bool operator==(const ImageRecord&) const = default;
};

struct OperationRecord {
  std::int64_t id = 0;
  std::string kind;
  std::string subject;
  std::string targets;  // JSON: what it waits for.
  std::string state;
  int percent = 0;
  std::string message;
  std::string error;     // JSON, or empty.
  std::string warnings;  // JSON, or empty.
  std::string result;    // JSON, or empty.
  std::int64_t created = 0;
  std::int64_t finished = 0;
  bool operator==(const OperationRecord&) const = default;
};

/// Intent: it may or may not have happened. Done and Undone: it has.
enum class StepState : std::uint8_t { Intent, Done, Undone };
std::string_view name(StepState state);  // "intent", "done", "undone"
bool fromName(std::string_view name, StepState& out);

/// One step of a move and how to take it back.
struct JournalStep {
  std::int64_t operation = 0;
  int seq = 0;
  std::string step;
  std::string undo;
  StepState state = StepState::Intent;
  std::string data;  // JSON, or empty.
  bool operator==(const JournalStep&) const = default;
};

struct Event {
  std::int64_t seq = 0;  // Given by appendEvent().
  std::int64_t time = 0;
  std::string kind;
  std::string subject;
  std::string message;
  std::string data;  // JSON, or empty.
  bool operator==(const Event&) const = default;
};

}  // namespace berth::ledger
