// The simulated driver's tool, `berth-sim`, as the daemon uses it: makes the GPUs at start, injects faults on
// request. Everything else about a simulated GPU goes through NVML, as with a real one.
#pragma once

#include <filesystem>
#include <functional>

#include "api/routes.h"
#include "os/process.h"

namespace berth::daemon {

class SimulatedDriver final : public api::Simulation {
 public:
  /// `tool` empty: the driver is a real one, and every call is refused. `changed` is called after a fault.
  SimulatedDriver(os::ProcessRunner& runner, std::filesystem::path tool, std::filesystem::path dir,
                  std::function<void()> changed)
      : runner_(runner), tool_(std::move(tool)), dir_(std::move(dir)), changed_(std::move(changed)) {}

  /// Makes the state files of "t4:2"; those that are there keep their state.
  Result<void> create(const std::string& spec);

  /// Gives the GPU to "vfio" or back to "nvidia". Conflict: a process uses it.
  Result<void> bind(const ledger::Gpu& gpu, const std::string& driver);

  Result<std::string> status() override;
  Result<void> inject(const ledger::Gpu& gpu, const std::string& fault,
                      const std::optional<std::int64_t>& value) override;

 private:
  Result<std::string> run(std::vector<std::string> arguments);

  os::ProcessRunner& runner_;
  const std::filesystem::path tool_;
  const std::filesystem::path dir_;
  const std::function<void()> changed_;
};

}  // namespace berth::daemon
