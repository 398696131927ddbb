// nvidia-cuda-mps-server: holds a place on each GPU for the clients of one user. Started by the control
// daemon with a socket to it as descriptor 3; ends when that closes. Says "gpu UUID SLOT GENERATION" for each
// GPU and then "ready", or "failed CODE".
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include "base/text.h"
#include "engine/gpu.h"
#include "engine/mps_client.h"
#include "engine/session.h"
#include "mps/log_file.h"

namespace {

using namespace berth::sim;  // NOLINT(google-build-using-namespace): a program, not a header

constexpr int kChannel = 3;
constexpr int kLookEveryMs = 50;

struct Held {
  std::shared_ptr<StateFile> file;
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  bool faulted = false;
};

Status hold(const VisibleGpu& gpu, std::vector<Held>& held) {
  Held place;
  if (const Status status = StateFile::open(gpu.state_file, place.file); status != Status::Ok) return status;
  LockedGpu locked(*place.file);
  if (locked.status() != Status::Ok) return locked.status();
  Admission admission;
  admission.kind = SlotKind::MpsServer;
  const Status status = locked.admit(admission, place.slot);
  if (status != Status::Ok) return status;
  place.generation = locked.state().slots[place.slot].generation;
  held.push_back(place);
  return Status::Ok;
}

Status holdAll(std::vector<Held>& held) {
  for (const VisibleGpu& gpu : openEngine()->gpus(true)) {
    if (const Status status = hold(gpu, held); status != Status::Ok) return status;
  }
  return held.empty() ? Status::DeviceUnavailable : Status::Ok;
}

/// Notes faults that came and went. One on any GPU is one on all: they share this server (peers.md 3.5).
void look(std::vector<Held>& held, mps::LogFile& log) {
  bool fresh = false;
  for (Held& place : held) {
    LockedGpu gpu(*place.file);
    if (gpu.status() != Status::Ok) continue;
    gpu.reap();
    const bool now = gpu.faultOf(place.slot, place.generation) != Status::Ok;
    if (now && !place.faulted) {
      fresh = true;
      log.line("Server encountered a fatal exception on " + place.file->uuid() +
               "; all clients are affected, new ones are refused until they have left");
    }
    if (!now && place.faulted) log.line("Server recovered on " + place.file->uuid());
    place.faulted = now;
  }
  for (Held& place : held) {
    if (!fresh || place.faulted) continue;
    LockedGpu gpu(*place.file);
    if (gpu.status() == Status::Ok) gpu.failServer(place.slot);
  }
}

void release(const std::vector<Held>& held) {
  for (const Held& place : held) {
    LockedGpu gpu(*place.file);
    if (gpu.status() == Status::Ok) gpu.leave(place.slot);
  }
}

bool becomeUser(const std::string& uid) {
  const auto number = berth::parseWholeNumber(uid);
  if (!number || *number > 0xFFFFFFFELL) return false;
  const auto user = static_cast<uid_t>(*number);
  return user == ::geteuid() || ::setresuid(user, user, user) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;  // Only the control daemon starts this.
  mps::LogFile log(mps::logDirectory(), "server.log", "Server");
  std::vector<Held> held;
  const Status status = becomeUser(argv[1]) ? holdAll(held) : Status::DeviceUnavailable;
  std::string message;
  for (const Held& place : held) {
    message += "gpu " + place.file->uuid() + " " + std::to_string(place.slot) + " " +
               std::to_string(place.generation) + "\n";
  }
  MpsAnswer outcome;
  outcome.status = status;
  message += status == Status::Ok ? "ready\n" : toLine(outcome);
  log.line(status == Status::Ok ? "Initialization complete"
                                : "Initialization failed: the GPU is not available");
  const bool told = writeAll(kChannel, message);
  struct pollfd channel{kChannel, POLLIN, 0};
  while (told && status == Status::Ok && ::poll(&channel, 1, kLookEveryMs) == 0) look(held, log);
  release(held);
  log.line("Exit");
  return status == Status::Ok ? 0 : 1;
}
