// Real GPUs to and from guests: berth::vfio's move with the ledger as its journal. A GPU that the NVIDIA
// driver has is let go of by NVML first, which would keep it open.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "gpu/driver.h"
#include "gpu/pci.h"
#include "gpu/vfio/journal.h"
#include "gpu/vfio/plan.h"
#include "gpu/vfio/sysfs_settings.h"
#include "os/process.h"
#include "service/desk.h"
#include "service/vm_keeper.h"

namespace berth::service {

/// The key of the desk's note that is the journal of this GPU's move.
std::string moveKey(const PciAddress& gpu);

/// Contracts are GpuHandover's. Where the GPUs of one VM share an IOMMU group, the first of them brings the
/// group, and takes it back. Refusals are berth::vfio's (docs/passthrough.md).
class VfioHandover final : public GpuHandover {
 public:
  struct Parts {
    Desk& desk;
    gpu::GpuDriver& driver;
    os::ProcessRunner& runner;
    vfio::SysfsWriter& writer;
    std::vector<gpu::PciId> also_gpus;
    std::filesystem::path sysfs = "/sys";
    std::filesystem::path proc = "/proc";
  };

  explicit VfioHandover(Parts parts) : parts_(std::move(parts)) {}

  Result<void> toGuest(const ledger::Gpu& gpu, vm::Deadline deadline) override;
  Result<void> toHost(const ledger::Gpu& gpu, vm::Deadline deadline) override;

 private:
  Result<std::vector<vfio::JournalEntry>> journalOf(const ledger::Gpu& gpu) const;
  Result<vfio::TakePlan> planFor(const ledger::Gpu& gpu);
  Result<void> take(const ledger::Gpu& gpu, vm::Deadline deadline);
  Result<void> undo(const ledger::Gpu& gpu, const std::vector<vfio::JournalEntry>& entries,
                    vm::Deadline deadline);
  Result<void> checkUsers(const std::vector<PciAddress>& devices) const;

  Parts parts_;
};

}  // namespace berth::service
