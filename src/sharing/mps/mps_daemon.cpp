#include "sharing/mps/mps_daemon.h"

#include <algorithm>
#include <csignal>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/text.h"
#include "os/files.h"
#include "sharing/mps/mps_strays.h"

namespace berth::sharing {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLogLimit = std::size_t{16} << 20;
constexpr std::size_t kLastWords = 300;

fs::path controlProgram(const fs::path& driver_root) {
  std::error_code none;
  const fs::path system = driver_root / "usr/bin/nvidia-cuda-mps-control";
  return fs::exists(system, none) ? system : driver_root / "bin/nvidia-cuda-mps-control";
}

fs::path daemonLog(const MpsGeneration& folder) { return folder.log() / "daemon.log"; }

os::ProcessSpec daemonSpec(const MpsConfig& config, const GpuUuid& gpu, const MpsGeneration& folder) {
  os::ProcessSpec spec;
  spec.argv = {controlProgram(config.driver_root).string(), "-f"};
  spec.env = {{"CUDA_VISIBLE_DEVICES", gpu.value},
              {"CUDA_MPS_PIPE_DIRECTORY", folder.pipe().string()},
              {"CUDA_MPS_LOG_DIRECTORY", folder.log().string()}};
  // Clients' settings in our own environment would become everybody's limits.
  spec.unset_env = {"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"};
  spec.working_directory = "/";
  return spec;
}

/// SIGTERM, then SIGKILL.
Result<void> endByForce(MpsWorld& world, os::Process& process) {
  for (const int number : {SIGTERM, SIGKILL}) {
    TRY_VOID(process.signal(number));
    if (process.waitExit(world.clock.now() + world.config.signal_grace)) return {};
  }
  return fail(ErrorCode::Timeout,
              "the MPS program with process id " + std::to_string(process.id().pid) + " does not die");
}

/// Ends the MPS programs of all generations but `spared`: the control daemons first, as each takes its
/// servers along.
Result<void> endPrograms(MpsWorld& world, const MpsFolders& folders,
                         const std::optional<MpsGeneration>& spared) {
  for (const MpsProgram program : {MpsProgram::Control, MpsProgram::Server}) {
    TRY(const std::vector<MpsProcess> found, findMpsProcesses(world.procfs, folders.folder(), program));
    for (const MpsProcess& each : found) {
      if (spared && each.pipe_directory == spared->pipe()) continue;
      const Result<std::unique_ptr<os::Process>> process = world.runner.adopt(each.id);
      if (!process) continue;  // It has ended by now.
      log(LogLevel::Warning, "an MPS program is left over",
          {{"pid", std::to_string(each.id.pid)}, {"pipe", each.pipe_directory.string()}});
      TRY_VOID(endByForce(world, **process));
    }
  }
  return {};
}

Result<std::unique_ptr<os::Process>> findNoted(MpsWorld& world, const MpsFolders& folders) {
  const std::optional<MpsRecord> record = folders.running();
  if (!record || record->boot_id != world.config.boot_id) {
    return fail(ErrorCode::NotFound, "no MPS control daemon was left running");
  }
  return world.runner.adopt(record->process);
}

}  // namespace

Result<void> giveBack(MpsWorld& world, const GpuUuid& gpu) {
  Result<void> given = world.driver.setComputeMode(gpu, gpu::ComputeMode::Default);
  if (given) return {};
  const Error& error = given.error();
  if (error.code == ErrorCode::NotFound || error.reason == "GpuLost") return {};
  return given;
}

MpsDaemon::MpsDaemon(MpsWorld& world, GpuUuid gpu, const MpsLimits& limits, MpsFolders folders,
                     MpsGeneration folder, std::unique_ptr<os::Process> process)
    : world_(world),
      gpu_(std::move(gpu)),
      limits_(limits),
      folders_(std::move(folders)),
      folder_(std::move(folder)),
      process_(std::move(process)),
      control_(world.runner, world.clock, controlProgram(world.config.driver_root), folder_.pipe(),
               world.config.command_timeout) {}

Result<std::unique_ptr<MpsDaemon>> MpsDaemon::launch(MpsWorld& world, const GpuUuid& gpu,
                                                     const MpsLimits& limits) {
  MpsFolders folders(world.config.run_directory, gpu);
  TRY(MpsGeneration folder, folders.create());
  TRY_VOID(world.driver.setComputeMode(gpu, gpu::ComputeMode::ExclusiveProcess));
  Result<std::unique_ptr<os::Process>> process =
      world.runner.spawn(daemonSpec(world.config, gpu, folder), daemonLog(folder));
  if (!process) {
    // Best effort: the next start or stop of MPS on this GPU sets the mode again.
    static_cast<void>(world.driver.setComputeMode(gpu, gpu::ComputeMode::Default));
    static_cast<void>(folders.clear());
    return fail(std::move(process).error());
  }
  std::unique_ptr<MpsDaemon> daemon(
      new MpsDaemon(world, gpu, limits, std::move(folders), std::move(folder), *std::move(process)));
  if (Result<void> up = daemon->bringUp(); !up) {
    static_cast<void>(daemon->shutDown());
    return fail(std::move(up).error());
  }
  return daemon;
}

Result<std::unique_ptr<MpsDaemon>> MpsDaemon::adopt(MpsWorld& world, const GpuUuid& gpu) {
  MpsFolders folders(world.config.run_directory, gpu);
  const std::optional<MpsRecord> record = folders.running();
  TRY(std::unique_ptr<os::Process> process, findNoted(world, folders));
  MpsGeneration folder = folders.generation(record->generation);
  std::unique_ptr<MpsDaemon> daemon(
      new MpsDaemon(world, gpu, record->limits, std::move(folders), std::move(folder), std::move(process)));
  TRY_VOID(daemon->control_.defaultThreadPercentage());
  return daemon;
}

Result<void> MpsDaemon::clearLeftover(MpsWorld& world, const GpuUuid& gpu) {
  MpsFolders folders(world.config.run_directory, gpu);
  if (const Result<std::unique_ptr<os::Process>> process = findNoted(world, folders)) {
    TRY_VOID(endByForce(world, **process));
  }
  TRY_VOID(endPrograms(world, folders, std::nullopt));
  return folders.clear();
}

Result<void> MpsDaemon::endStrays() { return endPrograms(world_, folders_, folder_); }

Result<void> MpsDaemon::bringUp() {
  TRY_VOID(folders_.noteRunning({folder_.number, process_->id(), world_.config.boot_id, limits_}));
  TRY_VOID(waitForAnswer());
  TRY_VOID(applyLimits());
  TRY_VOID(control_.startServer());
  return waitForServer();
}

Result<void> MpsDaemon::waitForAnswer() {
  const auto deadline = world_.clock.now() + world_.config.start_timeout;
  for (;;) {
    if (process_->exited()) {
      return fail(ErrorCode::Unavailable, "the MPS control daemon ended while starting" + lastWords());
    }
    if (control_.defaultThreadPercentage()) return {};
    if (world_.clock.now() >= deadline) {
      return fail(ErrorCode::Timeout, "the MPS control daemon did not answer in time" + lastWords());
    }
    world_.pause(world_.config.poll_interval);
  }
}

Result<void> MpsDaemon::waitForServer() {
  const auto deadline = world_.clock.now() + world_.config.start_timeout;
  for (;;) {
    TRY(const std::vector<std::int64_t> servers, control_.servers());
    if (!servers.empty()) return {};
    if (world_.clock.now() >= deadline) {
      return fail(ErrorCode::Timeout, "the MPS server did not start in time" + lastWords());
    }
    world_.pause(world_.config.poll_interval);
  }
}

Result<void> MpsDaemon::applyLimits() {
  if (limits_.threads.value != 0) TRY_VOID(control_.setDefaultThreadPercentage(limits_.threads));
  if (limits_.memory.value != 0) TRY_VOID(control_.setDefaultMemoryLimit(gpu_, limits_.memory));
  return {};
}

MpsObservation MpsDaemon::observe() {
  MpsObservation seen;
  seen.daemon_alive = !process_->exited();
  if (!seen.daemon_alive) return seen;
  const Result<std::vector<std::int64_t>> servers = control_.servers();
  if (!servers) return seen;
  seen.answered = true;
  if (servers->empty()) return seen;
  const Result<MpsServerState> state = control_.serverState(servers->front());
  const Result<std::vector<std::int64_t>> clients = control_.clients(servers->front());
  seen.answered = state && clients;
  if (!seen.answered) return seen;
  seen.server = servers->front();
  seen.server_state = *state;
  seen.clients = *clients;
  return seen;
}

Result<void> MpsDaemon::startServer() {
  TRY_VOID(control_.startServer());
  return waitForServer();
}

Result<void> MpsDaemon::capNewClients(Percent threads) {
  if (threads == cap_) return {};
  TRY(const std::vector<std::int64_t> servers, control_.servers());
  // The default is for a server that takes this one's place.
  TRY_VOID(control_.setDefaultThreadPercentage(threads));
  for (const std::int64_t server : servers) TRY_VOID(control_.setThreadPercentage(server, threads));
  cap_ = threads;
  return {};
}

Result<void> MpsDaemon::shutDown() {
  if (!process_->exited()) terminateClients();
  const Result<void> ended = endProcess();
  const Result<void> mode = giveBack(world_, gpu_);
  // A daemon that does not die keeps its note, so that the next run of Berth finds it.
  const Result<void> cleared = ended ? folders_.clear() : Result<void>{};
  for (const Result<void>* step : {&ended, &mode, &cleared}) {
    if (!*step) return *step;
  }
  return {};
}

void MpsDaemon::terminateClients() {
  const Result<std::vector<std::int64_t>> servers = control_.servers();
  if (!servers) return;
  for (const std::int64_t server : *servers) {
    const Result<std::vector<std::int64_t>> clients = control_.clients(server);
    if (!clients) continue;
    // One that has gone by now is as good as terminated.
    for (const std::int64_t client : *clients) static_cast<void>(control_.terminateClient(server, client));
  }
}

Result<void> MpsDaemon::endProcess() {
  const auto quits = [this] {
    return control_.quit(world_.config.quit_grace) &&
           process_->waitExit(world_.clock.now() + world_.config.quit_grace + world_.config.signal_grace);
  };
  if (!process_->exited() && !quits()) TRY_VOID(endByForce(world_, *process_));
  // Servers may outlive a control daemon that was killed.
  return endPrograms(world_, folders_, std::nullopt);
}

std::string MpsDaemon::lastWords() const {
  const Result<std::string> log = os::readFile(daemonLog(folder_), kLogLimit);
  if (!log) return "";
  std::string_view words = trim(*log);
  words.remove_prefix(words.size() - std::min(words.size(), kLastWords));
  return words.empty() ? "" : ": " + std::string(words);
}

}  // namespace berth::sharing
