// What changed among the box's GPUs: what the ledger remembers, against what NVML and the PCI bus show now.
// Pure. Absence from NVML is not loss: a GPU that a VM holds is bound to vfio-pci and out of NVML's sight.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/types.h"
#include "gpu/driver.h"
#include "gpu/pci.h"
#include "ledger/state.h"

namespace berth::gpu {

/// What each source says. `on_bus` is nullopt when sysfs could not be read, or knows nothing of these GPUs
/// because they are simulated; nothing is concluded from it then.
struct Sightings {
  std::vector<ledger::Gpu> known;
  std::vector<GpuInfo> listed;
  std::optional<std::vector<PciDevice>> on_bus;
  std::set<GpuUuid> held_by_vms;  // Passed through to a VM that runs now.
  bool simulated = false;
};

enum class ChangeKind : std::uint8_t {
  New,             // Never seen here before.
  Back,            // Was Lost and is listed again.
  Lost,            // Not listed, and no VM and no move explains it.
  AddressChanged,  // The same UUID at another PCI address: the card was moved to another slot.
  Redescribed,     // Name, memory or `simulated` changed: a driver update.
};

/// One GPU's change. `gpu` is its whole new row for the ledger, with every change of this merge in it.
struct Change {
  ChangeKind kind = ChangeKind::New;
  ledger::Gpu gpu;
  std::string message;  // For the event history: "GPU 1 is gone: it is not on the PCI bus".
};

struct Inventory {
  std::vector<Change> changes;       // In index order; a GPU may have more than one.
  std::vector<PciDevice> strangers;  // GPUs on the bus that NVML does not list and the ledger does not know.
};

/// The known GPUs that are with vfio-pci now, for a VM: NVML does not see them, the bus does. By PCI address,
/// which is all that is left to know them by.
std::set<GpuUuid> withVfio(const std::vector<ledger::Gpu>& known, const std::vector<PciDevice>& on_bus);

/// The name of a GPU that no driver gives a UUID: "PCI-0000:00:04.0".
GpuUuid identityByPci(const PciAddress& address);

/// GPUs that only the bus can tell of: the ids that the configuration names besides NVIDIA's. They can go to
/// VMs whole and nowhere else. Of a card with several functions it is the first; the others go along with it.
std::vector<GpuInfo> gpusByPci(const std::vector<PciDevice>& on_bus, const std::vector<PciId>& also);

/// Known GPUs keep their index for ever; new ones get the next free indices in the order of their PCI
/// addresses. A new GPU is Free, in mode TimeSlice.
Inventory takeInventory(const Sightings& seen);

}  // namespace berth::gpu
