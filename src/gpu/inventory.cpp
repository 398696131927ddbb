#include "gpu/inventory.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

namespace berth::gpu {
namespace {

using ledger::Health;
using ledger::OwnerKind;

constexpr std::int64_t kMiB = std::int64_t{1} << 20;

const GpuInfo* findListed(const Sightings& seen, const GpuUuid& uuid) {
  const auto found = std::ranges::find(seen.listed, uuid, &GpuInfo::uuid);
  return found == seen.listed.end() ? nullptr : &*found;
}

const PciDevice* findOnBus(const Sightings& seen, const PciAddress& address) {
  if (!seen.on_bus) return nullptr;
  const auto found = std::ranges::find(*seen.on_bus, address, &PciDevice::address);
  return found == seen.on_bus->end() ? nullptr : &*found;
}

std::string label(const ledger::Gpu& gpu) {
  return "GPU " + std::to_string(gpu.index) + " (" + gpu.uuid.value + ")";
}

void describe(ledger::Gpu& gpu, const GpuInfo& info, bool simulated) {
  gpu.name = info.name;
  gpu.memory = MiB{info.memory_bytes / kMiB};
  gpu.simulated = simulated;
}

/// Why a GPU is nowhere to be found, in words.
std::string whereabouts(const Sightings& seen, const ledger::Gpu& gpu) {
  if (!seen.on_bus) return "the driver does not list it";
  const PciDevice* const device = findOnBus(seen, gpu.pci);
  if (device == nullptr) return "it is not on the PCI bus";
  if (device->driver.empty()) return "no driver is bound to it";
  return "the driver does not list it, and it is bound to " + device->driver;
}

bool isGone(const Sightings& seen, const ledger::Gpu& gpu) {
  if (gpu.owner.kind == OwnerKind::Moving) return false;
  if (!seen.held_by_vms.contains(gpu.uuid)) return true;
  // A VM's GPU stays on the bus under vfio-pci; a simulated one never was there.
  return seen.on_bus && !gpu.simulated && findOnBus(seen, gpu.pci) == nullptr;
}

void compareAbsent(const Sightings& seen, const ledger::Gpu& known, Inventory& inventory) {
  if (known.health == Health::Lost || !isGone(seen, known)) return;
  ledger::Gpu gpu = known;
  gpu.health = Health::Lost;
  gpu.health_reason = whereabouts(seen, known);
  std::string message = label(gpu) + " is gone: " + gpu.health_reason;
  inventory.changes.push_back({ChangeKind::Lost, std::move(gpu), std::move(message)});
}

void comparePresent(const GpuInfo& info, const ledger::Gpu& known, bool simulated, Inventory& inventory) {
  ledger::Gpu gpu = known;
  describe(gpu, info, simulated);
  const bool redescribed = gpu != known;
  const bool back = known.health == Health::Lost;
  const bool moved = known.pci != info.pci;
  gpu.pci = info.pci;
  if (back) {
    gpu.health = Health::Ok;
    gpu.health_reason.clear();
  }
  if (back) inventory.changes.push_back({ChangeKind::Back, gpu, label(gpu) + " is back"});
  if (moved) {
    inventory.changes.push_back({ChangeKind::AddressChanged, gpu,
                                 label(gpu) + " moved from " + known.pci.value + " to " + gpu.pci.value});
  }
  if (redescribed) {
    inventory.changes.push_back(
        {ChangeKind::Redescribed, gpu,
         label(gpu) + " is now described as " + gpu.name + ", " + std::to_string(gpu.memory.value) + " MiB"});
  }
}

bool isKnown(const Sightings& seen, const GpuUuid& uuid) {
  return std::ranges::find(seen.known, uuid, &ledger::Gpu::uuid) != seen.known.end();
}

void addNew(const Sightings& seen, Inventory& inventory) {
  int next_index = 0;
  for (const ledger::Gpu& gpu : seen.known) next_index = std::max(next_index, gpu.index + 1);
  std::vector<GpuInfo> fresh = seen.listed;
  std::erase_if(fresh, [&](const GpuInfo& info) { return isKnown(seen, info.uuid); });
  std::ranges::sort(fresh, {}, &GpuInfo::pci);
  for (const GpuInfo& info : fresh) {
    ledger::Gpu gpu;
    gpu.uuid = info.uuid;
    gpu.pci = info.pci;
    gpu.index = next_index++;
    describe(gpu, info, seen.simulated);
    std::string message = label(gpu) + " is new: " + gpu.name + " at " + gpu.pci.value;
    inventory.changes.push_back({ChangeKind::New, std::move(gpu), std::move(message)});
  }
}

void addStrangers(const Sightings& seen, Inventory& inventory) {
  if (!seen.on_bus) return;
  for (const PciDevice& device : *seen.on_bus) {
    const bool known = std::ranges::find(seen.known, device.address, &ledger::Gpu::pci) != seen.known.end();
    const bool listed = std::ranges::find(seen.listed, device.address, &GpuInfo::pci) != seen.listed.end();
    if (!known && !listed) inventory.strangers.push_back(device);
  }
}

std::string_view slotOf(const PciAddress& address) {
  return std::string_view(address.value).substr(0, address.value.find('.'));
}

std::string idText(const PciId& id) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%04x:%04x", id.vendor, id.device);
  return text.data();
}

}  // namespace

std::set<GpuUuid> withVfio(const std::vector<ledger::Gpu>& known, const std::vector<PciDevice>& on_bus) {
  std::set<GpuUuid> found;
  for (const ledger::Gpu& gpu : known) {
    const auto device = std::ranges::find(on_bus, gpu.pci, &PciDevice::address);
    if (device != on_bus.end() && device->driver == "vfio-pci") found.insert(gpu.uuid);
  }
  return found;
}

GpuUuid identityByPci(const PciAddress& address) { return GpuUuid("PCI-" + address.value); }

std::vector<GpuInfo> gpusByPci(const std::vector<PciDevice>& on_bus, const std::vector<PciId>& also) {
  std::vector<GpuInfo> found;
  std::set<std::string_view> slots;
  for (const PciDevice& device : on_bus) {
    if (std::ranges::find(also, device.id) == also.end() || !slots.insert(slotOf(device.address)).second)
      continue;
    GpuInfo info;
    info.uuid = identityByPci(device.address);
    info.pci = device.address;
    info.name = "PCI device " + idText(device.id);
    info.pci_device_id = static_cast<std::uint32_t>(device.id.device) << 16U | device.id.vendor;
    found.push_back(std::move(info));
  }
  return found;
}

Inventory takeInventory(const Sightings& seen) {
  Inventory inventory;
  for (const ledger::Gpu& known : seen.known) {
    const GpuInfo* const info = findListed(seen, known.uuid);
    if (info == nullptr) {
      compareAbsent(seen, known, inventory);
    } else {
      comparePresent(*info, known, seen.simulated, inventory);
    }
  }
  addNew(seen, inventory);
  addStrangers(seen, inventory);
  return inventory;
}

}  // namespace berth::gpu
