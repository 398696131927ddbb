#include "service/vfio_handover.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/log.h"
#include "gpu/vfio/move.h"
#include "gpu/vfio/survey.h"
#include "gpu/vfio/users.h"

namespace berth::service {
namespace {

using vfio::JournalEntry;

/// The journal as a note of the desk.
class DeskJournal final : public vfio::MoveJournal {
 public:
  DeskJournal(Desk& desk, std::string key, std::vector<JournalEntry> entries)
      : desk_(desk), key_(std::move(key)), entries_(std::move(entries)) {}

  Result<void> put(const JournalEntry& entry) override {
    const auto at = static_cast<std::size_t>(entry.seq);
    if (at == entries_.size()) entries_.emplace_back();
    entries_.at(at) = entry;
    return desk_.putNote(key_, vfio::encodeJournal(entries_));
  }

  /// A journal with nothing left to undo is not kept.
  Result<void> close() { return vfio::isPending(entries_) ? Result<void>{} : desk_.putNote(key_, {}); }

 private:
  Desk& desk_;
  std::string key_;
  std::vector<JournalEntry> entries_;
};

/// Persistence mode by NVML.
class DriverPersistence final : public vfio::Persistence {
 public:
  explicit DriverPersistence(gpu::GpuDriver& driver) : driver_(driver) {}

  Result<bool> get(const PciAddress& gpu) override {
    TRY(const GpuUuid uuid, find(gpu));
    return driver_.persistence(uuid);
  }
  Result<void> set(const PciAddress& gpu, bool on, vfio::Deadline /*deadline*/) override {
    TRY(const GpuUuid uuid, find(gpu));
    return driver_.setPersistence(uuid, on);
  }

 private:
  /// A box without NVIDIA's driver has no GPU with that mode. Undoing comes here after the driver has the GPU
  /// again.
  Result<GpuUuid> find(const PciAddress& gpu) {
    driver_.resume();
    const auto listed = driver_.list();
    if (!listed) return fail(ErrorCode::NotFound, listed.error().message);
    const auto found = std::ranges::find(*listed, gpu, &gpu::GpuInfo::pci);
    if (found == listed->end()) return fail(ErrorCode::NotFound, "the driver does not have " + gpu.value);
    return found->uuid;
  }

  gpu::GpuDriver& driver_;
};

/// However a move ends, NVML is to be had again.
class ResumeAtEnd {
 public:
  explicit ResumeAtEnd(gpu::GpuDriver& driver) : driver_(driver) {}
  ResumeAtEnd(const ResumeAtEnd&) = delete;
  ResumeAtEnd& operator=(const ResumeAtEnd&) = delete;
  ~ResumeAtEnd() { driver_.resume(); }

 private:
  gpu::GpuDriver& driver_;
};

std::optional<int> groupOf(const vfio::Survey& seen, const PciAddress& address) {
  const vfio::Function* const function = vfio::find(seen, address);
  return function == nullptr ? std::nullopt : function->device.iommu_group;
}

/// The GPUs of the VM that has `gpu`, it among them.
std::vector<PciAddress> ofSameVm(const ledger::State& state, const ledger::Gpu& gpu) {
  std::vector<PciAddress> addresses{gpu.pci};
  for (const ledger::Berth* berth : ledger::berthsOn(state, gpu.uuid)) {
    if (berth->holder.kind != ledger::HolderKind::Vm) continue;
    for (const ledger::Berth& other : state.berths) {
      const ledger::Gpu* const held = ledger::findGpu(state, other.gpu);
      if (other.holder == berth->holder && held != nullptr && held->uuid != gpu.uuid) {
        addresses.push_back(held->pci);
      }
    }
  }
  return addresses;
}

}  // namespace

std::string moveKey(const PciAddress& gpu) { return "move." + gpu.value; }

Result<std::vector<JournalEntry>> VfioHandover::journalOf(const ledger::Gpu& gpu) const {
  TRY(const std::optional<std::string> text, parts_.desk.note(moveKey(gpu.pci)));
  return vfio::decodeJournal(text.value_or(std::string()));
}

/// With those GPUs of the same VM that share the group: the others have moves of their own.
Result<vfio::TakePlan> VfioHandover::planFor(const ledger::Gpu& gpu) {
  TRY(const vfio::Survey seen, vfio::survey(parts_.sysfs, parts_.proc));
  vfio::TakeRequest request;
  request.also_gpus = parts_.also_gpus;
  request.gpus = ofSameVm(parts_.desk.book()->state, gpu);
  std::erase_if(request.gpus, [&](const PciAddress& other) {
    return other != gpu.pci && groupOf(seen, other) != groupOf(seen, gpu.pci);
  });
  DriverPersistence persistence(parts_.driver);
  for (const PciAddress& each : request.gpus) {
    const Result<bool> on = persistence.get(each);
    if (on && *on) request.persistent.insert(each);
  }
  return vfio::planTake(seen, request);
}

Result<void> VfioHandover::checkUsers(const std::vector<PciAddress>& devices) const {
  vfio::DeviceNumbers numbers;
  for (const PciAddress& device : devices) {
    TRY(const vfio::DeviceNumbers some, vfio::deviceNumbers(device, parts_.sysfs, parts_.proc));
    numbers.insert(some.begin(), some.end());
  }
  TRY(const std::vector<vfio::DeviceUser> users, vfio::usersOf(numbers, parts_.proc));
  return vfio::checkUnused(users);
}

Result<void> VfioHandover::take(const ledger::Gpu& gpu, vm::Deadline deadline) {
  TRY_VOID(vfio::ensureVfioDriver(parts_.runner, deadline, parts_.sysfs));
  TRY(const vfio::TakePlan plan, planFor(gpu));
  for (const vfio::Group& group : plan.groups) {
    for (const vfio::Member& member : group.members) {
      log(LogLevel::Info, "IOMMU group",
          {{"gpu", gpu.pci.value}, {"member", member.what}, {"becomes", member.verdict}});
    }
  }
  DriverPersistence persistence(parts_.driver);
  vfio::SysfsSettings settings(parts_.writer, &persistence, parts_.sysfs);
  DeskJournal journal(parts_.desk, moveKey(gpu.pci), {});
  const ResumeAtEnd resume(parts_.driver);
  const vfio::Gate gate = [&]() -> Result<void> {
    TRY_VOID(parts_.driver.suspend());
    return checkUsers(plan.moving);
  };
  Result<void> taken = vfio::take(plan.steps, settings, journal, gate, deadline);
  if (!taken) static_cast<void>(journal.close());  // What is kept is undone by the next attempt.
  return taken;
}

Result<void> VfioHandover::undo(const ledger::Gpu& gpu, const std::vector<JournalEntry>& entries,
                                vm::Deadline deadline) {
  DriverPersistence persistence(parts_.driver);
  vfio::SysfsSettings settings(parts_.writer, &persistence, parts_.sysfs);
  DeskJournal journal(parts_.desk, moveKey(gpu.pci), entries);
  TRY_VOID(vfio::giveBack(entries, settings, journal, deadline));
  return journal.close();
}

Result<void> VfioHandover::toGuest(const ledger::Gpu& gpu, vm::Deadline deadline) {
  TRY(const std::vector<JournalEntry> entries, journalOf(gpu));
  TRY(const gpu::PciDevice device, gpu::PciBus(parts_.sysfs).device(gpu.pci));
  if (vfio::isComplete(entries) && device.driver == vfio::kVfioDriver) return {};
  // What a crash left, or a restart of the box made void.
  if (vfio::isPending(entries)) TRY_VOID(undo(gpu, entries, deadline));
  return take(gpu, deadline);
}

Result<void> VfioHandover::toHost(const ledger::Gpu& gpu, vm::Deadline deadline) {
  TRY(const std::vector<JournalEntry> entries, journalOf(gpu));
  if (entries.empty()) return {};
  return undo(gpu, entries, deadline);
}

}  // namespace berth::service
