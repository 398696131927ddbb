// What to do about one GPU's MPS, decided from what was seen of it. Pure; the manager acts.
//
// The facts behind the rules: a fatal fault of one client takes every client of the server with it and the
// culprit is not named; a control daemon that restarts under live clients leaves them cut off; a program that
// starts while no server holds the GPU takes the whole of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "sharing/mps/mps_answers.h"

namespace berth::sharing {

/// One look at a generation.
struct MpsObservation {
  bool daemon_alive = false;
  bool answered = false;    // Every question of the look was answered in time. The rest means nothing if not.
  std::int64_t server = 0;  // 0: none runs.
  MpsServerState server_state = MpsServerState::Initializing;
  std::vector<std::int64_t> clients;
};

/// What is remembered from the looks before.
struct MpsMemory {
  std::int64_t server = 0;
  std::vector<std::int64_t> clients;
  int missed = 0;  // Looks in a row without an answer.
};

enum class MpsStep : std::uint8_t {
  Keep,
  StartServer,    // The daemon is fine, but no server holds the GPU.
  EndGeneration,  // Lost. Name the victims, clear it away and start a new generation.
};

struct MpsDecision {
  MpsStep step = MpsStep::Keep;
  std::string message;                // Why, for EndGeneration; "" otherwise.
  std::vector<std::int64_t> victims;  // Clients whose contexts are gone.
  MpsMemory memory;                   // To be remembered for the next look.
};

/// Looks without an answer that are forgiven.
inline constexpr int kForgivenMisses = 2;

MpsDecision decide(const MpsMemory& before, const MpsObservation& now);

/// How long to wait before the next try, after `failures` starts in a row that failed (at least 1).
std::chrono::seconds retryDelay(int failures);

}  // namespace berth::sharing
