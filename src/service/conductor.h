// How far an operation is: a pure function of the book and of how the GPUs are shared right now. An operation
// is an intent that is already on disk; this says when the world has followed, or that it will not.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "service/desk.h"

namespace berth::service {

/// What is in force on one GPU, beside what the book wants.
struct SharingInForce {
  bool mps_daemon = false;      // A control daemon runs (starting or stopping ones included).
  bool ready = false;           // Containers can be started on it in the book's mode.
  std::string message;          // Why not, for people.
  std::string limits_behind{};  // A container on it whose limits are not yet the book's; empty: none.
  std::string limits_lost{};    // One whose limits follow only when it is started again; empty: none.
};
using SharingLookup = std::function<SharingInForce(const GpuUuid&)>;

struct Progress {
  enum class State : std::uint8_t { Running, Succeeded, Failed, Undo };
  State state = State::Running;
  int percent = 0;
  std::string message;
  std::optional<Error> error;  // With Failed and Undo.
};

/// Undo: a container of an apply could not be started; the caller marks the targets deleted and keeps the
/// error in the operation, which then fails once they are gone. Pure.
Progress progressOf(const Operation& operation, const Book& book, const SharingLookup& sharing);

/// Writes what progressOf() said into the operation: its end, its undoing, or just how far it is.
void conclude(Draft& draft, const std::string& id, const Progress& progress);

}  // namespace berth::service
