// Keeps the ledger's GPUs in step with what NVML and the PCI bus show, and their health with what NVML
// reports.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/guarded.h"
#include "gpu/driver.h"
#include "gpu/health.h"
#include "gpu/inventory.h"
#include "gpu/pci.h"
#include "service/desk.h"

namespace berth::service {

/// Safe from several threads. Calls block for the driver: worker threads only.
class InventoryKeeper {
 public:
  /// `also_gpus`: PCI ids that count as GPUs besides NVIDIA's display controllers. `boot_id` tells whether a
  /// GPU was reset since it reported an error (os::Procfs).
  InventoryKeeper(Desk& desk, gpu::GpuDriver& driver, const gpu::PciBus& bus,
                  std::vector<gpu::PciId> also_gpus, std::string boot_id);

  /// Looks at what is there, commits what changed, and re-tests unhealthy GPUs. Unavailable: no driver
  /// answers; then the ledger stays as it is, since silence is no news.
  Result<void> refresh();

  /// Judges one health event and commits what follows.
  Result<void> handle(const gpu::GpuEvent& event);

 private:
  Result<void> takeStock();
  Result<void> ask(gpu::Sightings& seen, const ledger::State& state);
  Result<void> retest(const ledger::Gpu& gpu);

  Desk& desk_;
  gpu::GpuDriver& driver_;
  const gpu::PciBus& bus_;
  const std::vector<gpu::PciId> also_gpus_;
  const std::string boot_id_;
  const std::chrono::steady_clock::time_point begin_;
  /// When an unhealthy GPU last reported an error, in this run of the daemon.
  Guarded<std::map<GpuUuid, std::chrono::steady_clock::time_point>> last_event_;
};

}  // namespace berth::service
