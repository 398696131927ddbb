// The API's view of what runs now: NVML samples, the processes on a GPU and whose container each is in, MPS.
#pragma once

#include <chrono>
#include <map>

#include "api/routes.h"
#include "daemon/engine_health.h"
#include "gpu/driver.h"
#include "os/procfs.h"
#include "service/desk.h"
#include "sharing/mps/mps_manager.h"

namespace berth::daemon {

class DriverData final : public api::LiveData {
 public:
  DriverData(gpu::GpuDriver& driver, const sharing::MpsManager& mps, const EngineHealth& engine,
             const service::Desk& desk)
      : driver_(driver), mps_(mps), engine_(engine), desk_(desk) {}

  api::MpsView mps(const ledger::Gpu& gpu) override;
  api::GpuNow now(const ledger::State& state, const ledger::Gpu& gpu) override;
  Result<gpu::DriverInfo> driver() override;
  api::EngineView engine() override { return engine_.last(); }

 private:
  std::string containerOf(std::int64_t pid) const;

  gpu::GpuDriver& driver_;
  const sharing::MpsManager& mps_;
  const EngineHealth& engine_;
  const service::Desk& desk_;
  const os::Procfs procfs_;
};

}  // namespace berth::daemon
