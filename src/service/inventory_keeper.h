// Keeps the ledger's GPUs in step with what NVML and the PCI bus show, and their health with what NVML
// reports.
#pragma once

#include <chrono>
#include <map>
#include <vector>

#include "base/guarded.h"
#include "gpu/driver.h"
#include "gpu/health.h"
#include "gpu/pci.h"
#include "service/desk.h"

namespace berth::service {

/// Safe from several threads. Calls block for the driver: worker threads only.
class InventoryKeeper {
 public:
  /// `also_gpus`: PCI ids that count as GPUs besides NVIDIA's display controllers.
  InventoryKeeper(Desk& desk, gpu::GpuDriver& driver, const gpu::PciBus& bus,
                  std::vector<gpu::PciId> also_gpus);

  /// Looks at what is there, commits what changed, and re-tests unhealthy GPUs. Unavailable: no driver
  /// answers; then the ledger stays as it is, since silence is no news.
  Result<void> refresh();

  /// Judges one health event and commits what follows.
  Result<void> handle(const gpu::GpuEvent& event);

 private:
  struct Ailment {
    gpu::Recovery recovery = gpu::Recovery::Quiet;
    std::chrono::steady_clock::time_point last_event;
  };

  Result<void> takeStock();
  Result<void> retest(const ledger::Gpu& gpu);

  Desk& desk_;
  gpu::GpuDriver& driver_;
  const gpu::PciBus& bus_;
  const std::vector<gpu::PciId> also_gpus_;
  const std::chrono::steady_clock::time_point begin_;
  Guarded<std::map<GpuUuid, Ailment>> ailments_;
};

}  // namespace berth::service
