// A program without a dynamic loader that uses the GPU: no preload file reaches it. It stands for one that
// speaks to the driver's device nodes itself. Linked statically against the simulated driver's engine.
#include <cstdint>
#include <cstdio>
#include <memory>

#include "engine/session.h"

int main() {
  using berth::sim::Status;
  const auto engine = berth::sim::openEngine();
  const auto gpus = engine->gpus(true);
  std::unique_ptr<berth::sim::Session> session;
  if (gpus.empty() || engine->open(gpus.front(), session) != Status::Ok) {
    std::puts("no GPU");
    return 1;
  }
  // More than the container may have: nothing here asks the guard.
  const Status reserved = session->reserve(std::uint64_t{1} << 30U);
  std::printf("reserved %d\n", static_cast<int>(reserved));
  std::fflush(stdout);
  constexpr double kLaunchNs = 5e6;
  while (session->fault() == Status::Ok) {
    berth::sim::Ticket ticket;
    const double sms = session->grantedSms();
    if (session->submit(0, {kLaunchNs * sms, sms}, ticket) != Status::Ok) break;
    if (session->wait(ticket) != Status::Ok) break;
  }
  return 0;
}
