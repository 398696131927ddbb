#include "daemon/live_data.h"

#include "base/text.h"
#include "service/process_owner.h"

namespace berth::daemon {
namespace {

/// The program as NVML would name it: the first argument, which may say anything, or the kernel's name for
/// it.
std::string programName(const os::Procfs& procfs, std::int64_t pid) {
  const auto arguments = procfs.commandLine(pid);
  if (arguments && !arguments->empty()) return arguments->front();
  const auto stat = procfs.stat(pid);
  return stat ? stat->command : "";
}

}  // namespace

api::MpsView DriverData::mps(const ledger::Gpu& gpu) {
  const sharing::MpsStatus status = mps_.status(gpu.uuid);
  api::MpsView view;
  view.state = std::string(sharing::name(status.state));
  view.generation = status.generation;
  view.pid = status.pid;
  view.server_pid = status.server_pid;
  view.clients = static_cast<int>(status.clients.size());
  view.pipe_directory = status.pipe_directory.string();
  view.message = status.message;
  return view;
}

api::GpuNow DriverData::now(const ledger::State& /*state*/, const ledger::Gpu& gpu) {
  api::GpuNow now;
  if (gpu.health == ledger::Health::Lost) return now;
  if (auto sample = driver_.sample(gpu.uuid)) now.sample = *sample;
  const auto processes = driver_.processes(gpu.uuid);
  if (!processes) return now;
  const auto book = desk_.book();
  for (const gpu::GpuProcess& process : *processes) {
    now.processes.push_back({process, programName(procfs_, process.pid),
                             service::containerOfProcess(*book, procfs_, process.pid)});
  }
  return now;
}

Result<gpu::DriverInfo> DriverData::driver() { return driver_.info(); }

}  // namespace berth::daemon
