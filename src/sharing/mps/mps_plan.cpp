#include "sharing/mps/mps_plan.h"

#include <algorithm>
#include <set>
#include <utility>

namespace berth::sharing {
namespace {

constexpr std::chrono::seconds kFirstRetry{2};
constexpr std::chrono::seconds kLongestRetry{60};
constexpr int kMaxDoublings = 5;

std::vector<std::int64_t> united(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  std::set<std::int64_t> all(a.begin(), a.end());
  all.insert(b.begin(), b.end());
  return {all.begin(), all.end()};
}

MpsDecision end(std::string message, std::vector<std::int64_t> victims) {
  return {MpsStep::EndGeneration, std::move(message), std::move(victims), {}};
}

MpsDecision decideUnanswered(const MpsMemory& before) {
  if (before.missed >= kForgivenMisses) {
    return end("the MPS control daemon does not answer", before.clients);
  }
  MpsMemory memory = before;
  ++memory.missed;
  return {MpsStep::Keep, "", {}, std::move(memory)};
}

}  // namespace

MpsDecision decide(const MpsMemory& before, const MpsObservation& now) {
  if (!now.daemon_alive) return end("the MPS control daemon has ended", before.clients);
  if (!now.answered) return decideUnanswered(before);
  if (now.server != 0 && now.server_state == MpsServerState::Fault) {
    return end("a client's fatal fault stopped every client of the MPS server",
               united(before.clients, now.clients));
  }
  if (now.server != before.server && !before.clients.empty()) {
    return end("the MPS server ended while programs were using it", before.clients);
  }
  MpsMemory memory{now.server, now.clients, 0};
  return {now.server == 0 ? MpsStep::StartServer : MpsStep::Keep, "", {}, std::move(memory)};
}

std::chrono::seconds retryDelay(int failures) {
  const int doublings = std::clamp(failures - 1, 0, kMaxDoublings);
  return std::min(kFirstRetry * (1 << doublings), kLongestRetry);
}

}  // namespace berth::sharing
