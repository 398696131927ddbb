#include "service/inventory_keeper.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/log.h"
#include "gpu/inventory.h"

namespace berth::service {
namespace {

std::string label(const ledger::Gpu& gpu) { return "GPU " + std::to_string(gpu.index); }

std::string_view eventKind(gpu::ChangeKind kind) {
  switch (kind) {
    case gpu::ChangeKind::New:
      return "gpu.new";
    case gpu::ChangeKind::Back:
      return "gpu.back";
    case gpu::ChangeKind::Lost:
      return "gpu.lost";
    case gpu::ChangeKind::AddressChanged:
    case gpu::ChangeKind::Redescribed:
      break;
  }
  return "gpu.changed";
}

/// What the driver need not list: a guest has it, or may.
std::set<GpuUuid> heldByVms(const ledger::State& state) {
  std::set<GpuUuid> held;
  for (const ledger::Berth& berth : state.berths) {
    if (berth.holder.kind == ledger::HolderKind::Vm) held.insert(berth.gpu);
  }
  return held;
}

}  // namespace

InventoryKeeper::InventoryKeeper(Desk& desk, gpu::GpuDriver& driver, const gpu::PciBus& bus,
                                 std::vector<gpu::PciId> also_gpus, std::string boot_id)
    : desk_(desk),
      driver_(driver),
      bus_(bus),
      also_gpus_(std::move(also_gpus)),
      boot_id_(std::move(boot_id)),
      begin_(desk.clock().now()) {}

Result<void> InventoryKeeper::refresh() {
  TRY_VOID(takeStock());
  const std::shared_ptr<const Book> book = desk_.book();
  for (const ledger::Gpu& gpu : book->state.gpus) {
    if (gpu.health == ledger::Health::Unhealthy) TRY_VOID(retest(gpu));
  }
  return {};
}

Result<void> InventoryKeeper::takeStock() {
  gpu::Sightings seen;
  // Before anyone is asked: a GPU may go to a guest, or come back, while the driver makes its list.
  const std::shared_ptr<const Book> asked = desk_.book();
  seen.held_by_vms = heldByVms(asked->state);
  TRY_VOID(ask(seen, asked->state));
  seen.known = desk_.book()->state.gpus;
  if (gpu::takeInventory(seen).changes.empty()) return {};
  return desk_.change([&](Draft& draft) -> Result<void> {
    seen.known = draft.book.state.gpus;
    if (heldByVms(draft.book.state) != seen.held_by_vms)
      return {};  // The list is old news; the next is soon.
    for (const gpu::Change& change : gpu::takeInventory(seen).changes) {
      draft.putGpu(change.gpu);
      // It was off the bus: a reset as good as any.
      if (change.kind == gpu::ChangeKind::Back) draft.book.awaits_reset.erase(change.gpu.uuid);
      draft.event(std::string(eventKind(change.kind)), label(change.gpu), change.message);
    }
    return {};
  });
}

/// Asks the driver and the bus. A box whose GPUs are all known by PCI alone needs no driver.
Result<void> InventoryKeeper::ask(gpu::Sightings& seen, const ledger::State& state) {
  const auto by_pci = [](const ledger::Gpu& gpu) { return gpu.uuid == gpu::identityByPci(gpu.pci); };
  const bool may_do_without = !also_gpus_.empty() && std::ranges::all_of(state.gpus, by_pci);
  const Result<gpu::DriverInfo> info = driver_.info();
  if (!info && !may_do_without) return fail(info.error());
  seen.simulated = info && info->simulated;
  if (info) {
    TRY(seen.listed, driver_.list());
  }
  if (seen.simulated) return {};
  if (auto on_bus = bus_.gpus(also_gpus_)) seen.on_bus = *std::move(on_bus);
  for (gpu::GpuInfo& gpu : gpu::gpusByPci(seen.on_bus.value_or(std::vector<gpu::PciDevice>()), also_gpus_)) {
    // One that the driver has, or had before it went to a guest, has a UUID.
    const auto known = std::ranges::find(state.gpus, gpu.pci, &ledger::Gpu::pci);
    const bool has_uuid = known != state.gpus.end() && known->uuid != gpu.uuid;
    const bool listed = std::ranges::find(seen.listed, gpu.pci, &gpu::GpuInfo::pci) != seen.listed.end();
    if (!listed && !has_uuid) seen.listed.push_back(std::move(gpu));
  }
  return {};
}

Result<void> InventoryKeeper::handle(const gpu::GpuEvent& event) {
  const gpu::Verdict verdict = gpu::judge(event);
  log(LogLevel::Warning, "GPU reports an error", {{"gpu", event.uuid.value}, {"what", verdict.reason}});
  if (verdict.severity == gpu::Severity::Ignore) {
    return desk_.change([&](Draft& draft) -> Result<void> {
      const ledger::Gpu* gpu = ledger::findGpu(draft.book.state, event.uuid);
      draft.event("gpu.xid", gpu == nullptr ? event.uuid.value : label(*gpu),
                  verdict.reason + " (of the application; the GPU is fine)");
      return {};
    });
  }
  last_event_.with([&](auto& all) { all[event.uuid] = desk_.clock().now(); });
  return desk_.change([&](Draft& draft) -> Result<void> {
    ledger::Gpu* gpu = ledger::findGpu(draft.book.state, event.uuid);
    if (gpu == nullptr) return {};
    const bool lost = verdict.severity == gpu::Severity::Lost;
    gpu->health = lost ? ledger::Health::Lost : ledger::Health::Unhealthy;
    gpu->health_reason = verdict.reason;
    if (verdict.recovery == gpu::Recovery::Reset) draft.book.awaits_reset[event.uuid] = boot_id_;
    draft.event(lost ? "gpu.lost" : "gpu.unhealthy", label(*gpu), verdict.reason);
    return {};
  });
}

Result<void> InventoryKeeper::retest(const ledger::Gpu& gpu) {
  const std::shared_ptr<const Book> book = desk_.book();
  const auto reset = book->awaits_reset.find(gpu.uuid);
  const bool awaits = reset != book->awaits_reset.end();
  // Of an event before this daemon's start only the start is known for certain: clocks may have jumped.
  const auto last_event = last_event_.with([&](auto& all) {
    const auto found = all.find(gpu.uuid);
    return found == all.end() ? begin_ : found->second;
  });
  gpu::Retest test;
  test.answers = driver_.sample(gpu.uuid).has_value();
  test.reset_since_event = awaits && reset->second != boot_id_;
  test.quiet = std::chrono::duration_cast<std::chrono::milliseconds>(desk_.clock().now() - last_event);
  if (!gpu::healthyAgain(awaits ? gpu::Recovery::Reset : gpu::Recovery::Quiet, test)) return {};
  last_event_.with([&](auto& all) { all.erase(gpu.uuid); });
  return desk_.change([&](Draft& draft) -> Result<void> {
    ledger::Gpu* healed = ledger::findGpu(draft.book.state, gpu.uuid);
    if (healed == nullptr || healed->health != ledger::Health::Unhealthy) return {};
    healed->health = ledger::Health::Ok;
    healed->health_reason.clear();
    draft.book.awaits_reset.erase(gpu.uuid);
    draft.event("gpu.healthy", label(*healed), "it answers and has been quiet: it gives berths again");
    return {};
  });
}

}  // namespace berth::service
