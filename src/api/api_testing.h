// What the routes ask beside the service, as far as tests of the routes themselves need it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/routes.h"

namespace berth::api::testing {

/// Nothing is measured, and the driver is the one it is given.
class NoLiveData final : public LiveData {
 public:
  MpsView mps(const ledger::Gpu& /*gpu*/) override { return {}; }
  GpuNow now(const ledger::State& /*state*/, const ledger::Gpu& /*gpu*/) override { return {}; }
  Result<gpu::DriverInfo> driver() override { return driver_info; }
  std::vector<sharing::GpuReport> usage() override { return {}; }
  EngineView engine() override { return {}; }

  Result<gpu::DriverInfo> driver_info = fail(ErrorCode::Unavailable, "no driver");
};

/// Counts the faults it is asked for.
class CountingSimulation final : public Simulation {
 public:
  Result<std::string> status() override { return std::string("[]"); }
  Result<void> inject(const ledger::Gpu& /*gpu*/, const std::string& /*fault*/,
                      const std::optional<std::int64_t>& /*value*/) override {
    ++injected;
    return {};
  }

  int injected = 0;
};

}  // namespace berth::api::testing
