// A process that uses the first simulated GPU, for the tests: it takes commands from stdin, one a line, and
// answers each with one line. Statuses are the numbers of berth::sim::Status.
//
//   user UID      becomes that user          open        opens a context; also prints the SMs it may fill
//   reserve BYTES takes device memory        memory      free and total, as this client is told
//   queue MS      work for MS milliseconds   finish      waits for all work
//   fault         the context's fault        raise       an illegal address
//   close         ends the context
#include <cstdint>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

#include <unistd.h>

#include "engine/session.h"

namespace {

using berth::sim::Session;
using berth::sim::Status;

Status open(std::unique_ptr<Session>& session) {
  const auto engine = berth::sim::openEngine();
  const auto gpus = engine->gpus(true);
  return gpus.empty() ? Status::DeviceLost : engine->open(gpus.front(), session);
}

Status queue(Session& session, std::uint64_t milliseconds) {
  const double sms = session.grantedSms();
  berth::sim::Ticket ticket;
  return session.submit(0, {double(milliseconds) * 1e6 * sms, sms}, ticket);
}

std::string number(Status status) { return std::to_string(static_cast<int>(status)); }

std::string onSession(Session& session, const std::string& verb, std::uint64_t value) {
  if (verb == "reserve") return number(session.reserve(value));
  if (verb == "queue") return number(queue(session, value));
  if (verb == "finish") return number(session.waitAll());
  if (verb == "fault") return number(session.fault());
  if (verb == "raise") session.raiseFault();
  if (verb != "memory") return "0";
  const auto memory = session.memoryInfo();
  return std::to_string(memory.free_bytes) + " " + std::to_string(memory.total_bytes);
}

std::string answer(std::unique_ptr<Session>& session, const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  std::uint64_t value = 0;
  words >> verb >> value;
  if (verb == "user") {
    const auto user = static_cast<uid_t>(value);
    return ::setresuid(user, user, user) == 0 ? "0" : "no such right";
  }
  if (verb == "open") {
    const Status status = open(session);
    return number(status) + (session ? " " + std::to_string(static_cast<int>(session->grantedSms())) : "");
  }
  if (verb == "close") session.reset();
  return session ? onSession(*session, verb, value) : "0";
}

}  // namespace

int main() {
  std::unique_ptr<Session> session;
  for (std::string line; std::getline(std::cin, line);) std::cout << answer(session, line) << std::endl;
}
