// Long-running operations: what was asked, how far it is, how it ended. Callers poll or follow them; they
// survive the daemon, because an operation is an intent in the ledger plus a condition to wait for, and both
// can be taken up again.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace berth::service {

struct Operation {
  enum class State : std::uint8_t { Running, Succeeded, Failed };

  std::string id;  // "op-12"
  std::string
      kind;  // "apply", "delete", "stop", "start", "reserve", "unreserve", "mode", "kubernetes", "sim"
  std::string subject;  // What it is about: "pods.yaml", "vm1", "GPU 0"
  /// Names of the workloads or UUIDs of the GPUs it waits for, so that it can be taken up after a restart.
  std::vector<std::string> targets;
  State state = State::Running;
  int percent = 0;
  std::string message;
  std::vector<std::string> warnings;
  std::optional<Error> error;
  std::string result;  // JSON, or empty.
  std::chrono::system_clock::time_point created{};
  std::chrono::system_clock::time_point finished{};
  bool operator==(const Operation&) const = default;
};

std::string_view name(Operation::State state);  // "running", "succeeded", "failed"

}  // namespace berth::service
