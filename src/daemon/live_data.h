// The API's view of what runs now: NVML samples, the processes on a GPU and whose container each is in, MPS.
#pragma once

#include <chrono>
#include <map>

#include "api/routes.h"
#include "daemon/engine_health.h"
#include "gpu/driver.h"
#include "os/procfs.h"
#include "service/desk.h"
#include "service/guard_keeper.h"
#include "sharing/mps/mps_manager.h"

namespace berth::daemon {

class DriverData final : public api::LiveData {
 public:
  DriverData(gpu::GpuDriver& driver, const sharing::MpsManager& mps, const EngineHealth& engine,
             const service::Desk& desk, const service::GuardKeeper& guard)
      : driver_(driver), mps_(mps), engine_(engine), desk_(desk), guard_(guard) {}

  api::MpsView mps(const ledger::Gpu& gpu) override;
  api::GpuNow now(const ledger::State& state, const ledger::Gpu& gpu) override;
  Result<gpu::DriverInfo> driver() override;
  std::vector<sharing::GpuReport> usage() override { return guard_.report(); }
  api::EngineView engine() override { return engine_.last(); }

 private:
  gpu::GpuDriver& driver_;
  const sharing::MpsManager& mps_;
  const EngineHealth& engine_;
  const service::Desk& desk_;
  const service::GuardKeeper& guard_;
  const os::Procfs procfs_;
};

}  // namespace berth::daemon
