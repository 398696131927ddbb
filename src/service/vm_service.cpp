#include "service/vm_service.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "service/submit.h"
#include "service/vm_progress.h"

namespace berth::service {
namespace {

using vm::Action;
using vm::GpuPolicy;
using vm::PowerState;
using vm::ProvisioningState;

constexpr std::chrono::seconds kAsk{20};
// Its disks are "<name>-data-63", and file names are DNS labels.
constexpr std::size_t kMaxVmName = 50;
constexpr std::int64_t kMaxNotice = std::int64_t{24} * 3600;
constexpr std::uint64_t kSector = 512;

ledger::Holder holderOf(const std::string& vm) { return {ledger::HolderKind::Vm, vm}; }

Error noSuchVm(const std::string& name) {
  return Error{ErrorCode::NotFound, "there is no VM " + name, "UnknownVm", {}};
}

std::vector<std::string> fittedModels(const ledger::State& state) {
  std::vector<std::string> names;
  for (const ledger::Gpu& gpu : state.gpus) names.push_back(gpu.name);
  return names;
}

std::set<std::string> sizesInUse(const Book& book) {
  std::set<std::string> names;
  for (const auto& [name, vm] : book.vms) names.insert(vm->asked.size.name);
  return names;
}

Result<void> checkName(const std::string& name) {
  const bool label = isDnsName(name) && name.find('.') == std::string::npos;
  if (label && name.size() <= kMaxVmName) return {};
  return fail(ErrorCode::InvalidArgument, "\"" + name + "\" is no VM's name: use a-z, 0-9 and '-', " +
                                              std::to_string(kMaxVmName) + " characters at most");
}

Result<void> checkRecall(const RecallTerms& recall) {
  if (recall.notice.count() >= 0 && recall.notice.count() <= kMaxNotice) return {};
  return fail(ErrorCode::InvalidArgument, "the notice for lent GPUs is 0 to 86400 seconds");
}

Result<const ImageRecord*> readyImage(const Book& book, const std::string& name) {
  const auto found = book.images.find(name);
  if (found == book.images.end() || !found->second->wanted) {
    return fail(Error{ErrorCode::NotFound,
                      "there is no image " + name + "; `berth image list` shows those there are",
                      "UnknownImage",
                      {}});
  }
  if (found->second->state == ImageRecord::State::Ready) return found->second.get();
  return fail(ErrorCode::Conflict, "image " + name + " is still being imported");
}

Result<void> checkCount(const std::string& what, std::size_t asked, int most, const vm::VmSize& size) {
  // 0: the catalogue does not say.
  if (most == 0 || asked <= static_cast<std::size_t>(most)) return {};
  return fail(ErrorCode::InvalidArgument,
              "size " + size.name + " takes at most " + std::to_string(most) + " " + what);
}

Result<void> checkDiskSize(std::uint64_t bytes) {
  if (bytes > 0 && bytes % kSector == 0) return {};
  return fail(ErrorCode::InvalidArgument, "a disk's size is a multiple of 512 bytes, and more than none");
}

Result<void> checkDisks(const VmAsked& asked, const ImageRecord& image) {
  TRY_VOID(checkCount("data disks", asked.disks.size(), asked.size.max_data_disks, asked.size));
  for (const VmDisk& disk : asked.disks) TRY_VOID(checkDiskSize(disk.bytes));
  if (asked.os_disk_bytes == 0 || asked.os_disk_bytes >= image.info.virtual_bytes) return {};
  return fail(ErrorCode::InvalidArgument, "the OS disk of image " + image.info.name + " has at least " +
                                              std::to_string(image.info.virtual_bytes) + " bytes");
}

/// A generalized image needs somebody to log in as; a specialized one has its users.
Result<void> checkFirstBoot(const VmRecord& vm) {
  if (vm.asked.user.empty() && !vm.asked.generalized) return {};
  vm::SeedSpec seed;
  seed.hostname = vm.name;
  seed.user = vm.asked.user;
  seed.password = vm.asked.password;
  seed.ssh_keys = vm.asked.ssh_keys;
  seed.custom_data_base64 = vm.asked.custom_data_base64;
  for (std::size_t i = 0; i < vm.asked.nics.size(); ++i) {
    const VmNic& nic = vm.asked.nics[i];
    seed.nics.push_back(
        {nic.mac.empty() ? vm::macAddress(vm.uuid, static_cast<int>(i)) : nic.mac, nic.fixed});
  }
  TRY_VOID(vm::checkSeed(seed, vm.asked.os));
  if (vm.asked.os == vm::GuestOs::Windows) {
    TRY(const auto files, vm::windowsSeed(seed));
  } else {
    TRY(const auto files, vm::linuxSeed(seed, "checkingcheckin."));
  }
  return {};
}

/// Something is being done from now on.
void begin(VmRecord& vm, const vm::Transition& transition) {
  vm.provisioning = transition.provisioning_during;
  vm.power = transition.power_during;
  vm.error.reset();
  vm.message.clear();
  vm.attempts = 0;
}

bool mayStillLend(const ledger::State& state, const ledger::Loan& loan) {
  const ledger::Gpu* gpu = ledger::findGpu(state, loan.gpu);
  return gpu != nullptr && gpu->health == ledger::Health::Ok &&
         gpu->owner.kind != ledger::OwnerKind::Quarantined && gpu->owner.kind != ledger::OwnerKind::Moving;
}

std::vector<ledger::Loan> loansOf(const ledger::State& state, const std::string& vm) {
  std::vector<ledger::Loan> loans;
  std::ranges::copy_if(state.loans, std::back_inserter(loans),
                       [&](const ledger::Loan& loan) { return loan.vm == vm; });
  return loans;
}

std::string usersText(const ledger::State& state, const std::vector<ledger::Loan>& loans) {
  std::vector<std::string> users;
  for (const ledger::Loan& loan : loans) {
    for (const ledger::Berth* berth : ledger::berthsOn(state, loan.gpu)) users.push_back(berth->holder.name);
  }
  return join(users, ", ");
}

/// A reservation whose GPUs its VM has taken over is over.
void endEmptyReservation(Draft& draft, const std::string& name) {
  const auto of_it = [&](const ledger::Berth& berth) {
    return berth.holder == ledger::Holder{ledger::HolderKind::Reservation, name};
  };
  if (!draft.book.reservations.contains(name) || std::ranges::any_of(draft.book.state.berths, of_it)) return;
  draft.book.reservations.erase(name);
  draft.event("reservation.used", name, "VM " + name + " has its GPUs now");
}

}  // namespace

/// With the way out, since a box without libvirt is a box that runs no VMs.
Result<void> VmService::checkHypervisor() const {
  const auto answer = parts_.hypervisor.list(std::chrono::steady_clock::now() + kAsk);
  if (answer) return {};
  Error error = answer.error();
  error.code = ErrorCode::Unavailable;
  error.reason = "HypervisorUnavailable";
  error.message = "virtual machines need libvirt, which does not answer: " + error.message +
                  "; install libvirt-daemon-system and qemu-system-x86, start libvirtd, or set libvirtUri";
  return fail(std::move(error));
}

Result<void> VmService::admit(const Book& book, const VmRecord& vm) const {
  std::vector<vm::VmDemand> admitted;
  for (const auto& [name, other] : book.vms) {
    const bool counts = other->desired != VmDesired::Deallocated || other->power != PowerState::Deallocated;
    if (counts) admitted.push_back({name, other->asked.size.vcpus, other->asked.size.memory});
  }
  return vm::admit({vm.name, vm.asked.size.vcpus, vm.asked.size.memory}, parts_.host, parts_.settings,
                   admitted);
}

vm::Headroom VmService::headroom() const {
  std::vector<vm::VmDemand> admitted;
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const auto& [name, vm] : book->vms) {
    if (vm->power != PowerState::Deallocated) {
      admitted.push_back({name, vm->asked.size.vcpus, vm->asked.size.memory});
    }
  }
  return vm::headroom(parts_.host, parts_.settings, admitted);
}

/// What a VM keeps of its size: the numbers it is made with.
Result<vm::VmSize> VmService::sizeFor(const Book& book, const std::string& name) const {
  TRY(const vm::VmSize chosen, sizes(book).choose(name, fittedModels(book.state)));
  vm::VmSize size;
  size.name = chosen.name;
  size.vcpus = chosen.vcpus;
  size.memory = chosen.memory;
  size.max_data_disks = chosen.max_data_disks;
  size.max_nics = chosen.max_nics;
  size.gpu_model = chosen.gpu_model;
  size.gpus = chosen.gpus;
  return size;
}

Result<VmRecord> VmService::recordOf(const Book& book, const VmRequest& request) const {
  VmRecord vm;
  vm.name = request.name;
  vm.uuid = parts_.new_uuid();
  vm.policy = request.policy;
  VmAsked& asked = vm.asked;
  TRY(const ImageRecord* image, readyImage(book, request.image));
  TRY(asked.size, sizeFor(book, request.size));
  asked.image = request.image;
  asked.os = image->info.os;
  asked.generation = image->info.generation;
  asked.generalized = image->info.generalized;
  asked.os_disk_bytes = request.os_disk_bytes;
  for (std::size_t i = 0; i < request.data_disks.size(); ++i) {
    asked.disks.push_back({static_cast<int>(i), request.data_disks[i]});
  }
  asked.nics = request.nics;
  asked.user = request.user;
  asked.password = request.password;
  asked.ssh_keys = request.ssh_keys;
  asked.custom_data_base64 = request.custom_data_base64;
  asked.recall = request.recall;
  TRY_VOID(checkRecall(asked.recall));
  TRY_VOID(checkDisks(asked, *image));
  TRY_VOID(checkCount("NICs", asked.nics.size(), asked.size.max_nics, asked.size));
  TRY_VOID(checkFirstBoot(vm).during("VM " + vm.name));
  return vm;
}

Result<Accepted> VmService::create(const VmRequest& request, DryRun dry_run) {
  TRY_VOID(checkName(request.name));
  TRY_VOID(checkHypervisor());
  Operation operation;
  operation.kind = "vm create";
  operation.subject = request.name;
  operation.targets = {vmTarget(request.name)};
  return submitChange(
      parts_.desk, operation, dry_run, [&](Draft& draft, Operation&) -> Result<arbiter::Plan> {
        if (draft.book.vms.contains(request.name)) {
          return fail(nameTaken(request.name, "a VM has it", "berth vm delete " + request.name));
        }
        TRY(VmRecord vm, recordOf(draft.book, request));
        TRY_VOID(admit(draft.book, vm));
        TRY(arbiter::Plan plan, draft.decide(arbiter::ClaimWholeGpus{holderOf(vm.name), vm.asked.size.gpus},
                                             parts_.desk.policy()));
        endEmptyReservation(draft, vm.name);
        vm.created = draft.now;
        vm.power = PowerState::Starting;
        vm.fallback = PowerState::Deallocated;
        draft.event("vm.created", vm.name, "size " + vm.asked.size.name + ", image " + vm.asked.image);
        draft.putVm(std::move(vm));
        return plan;
      });
}

Result<Accepted> VmService::change(const std::string& verb, const std::string& name, DryRun dry_run,
                                   const Change& change) {
  Operation operation;
  operation.kind = "vm " + verb;
  operation.subject = name;
  operation.targets = {vmTarget(name)};
  return submitChange(parts_.desk, operation, dry_run,
                      [&](Draft& draft, Operation& op) -> Result<arbiter::Plan> {
                        VmRecord* vm = draft.vm(name);
                        if (vm == nullptr) return fail(noSuchVm(name));
                        return change(draft, *vm, op);
                      });
}

/// A7, B7: what a deallocated VM needs to start. Its own lent GPUs are called back when they are in use.
Result<arbiter::Plan> VmService::acquire(Draft& draft, VmRecord& vm, Operation& operation) const {
  const arbiter::ClaimWholeGpus wanted{holderOf(vm.name), vm.asked.size.gpus};
  Result<arbiter::Plan> claimed = draft.decide(wanted, parts_.desk.policy());
  const std::vector<ledger::Loan> loans = loansOf(draft.book.state, vm.name);
  const bool can_recall = static_cast<int>(loans.size()) >= vm.asked.size.gpus && !loans.empty() &&
                          std::ranges::all_of(loans, [&](const ledger::Loan& loan) {
                            return mayStillLend(draft.book.state, loan);
                          });
  if (claimed || !can_recall) return claimed;
  vm.recalling = true;
  vm.deadline = draft.now + vm.asked.recall.notice;
  const std::string users = usersText(draft.book.state, loans);
  const bool stops = vm.asked.recall.at_deadline == AtDeadline::Stop;
  vm.message = "waiting for its lent GPUs, used by " + users;
  operation.warnings.push_back("the GPUs VM " + vm.name + " had lent are used by " + users + "; they have " +
                               std::to_string(vm.asked.recall.notice.count()) + " s, then " +
                               (stops ? "they are stopped" : "the start fails"));
  return draft.decide(arbiter::RecallLent{holderOf(vm.name), true}, parts_.desk.policy());
}

Result<Accepted> VmService::start(const std::string& name, DryRun dry_run) {
  TRY_VOID(checkHypervisor());
  return change("start", name, dry_run,
                [&](Draft& draft, VmRecord& vm, Operation& op) -> Result<arbiter::Plan> {
                  TRY(const vm::Transition transition, vm::plan(statusOf(vm), Action::Start));
                  if (transition.nothing_to_do) {
                    op.warnings.push_back("VM " + name + " runs already");
                    return arbiter::Plan{};
                  }
                  TRY_VOID(admit(draft.book, vm));
                  arbiter::Plan plan;
                  vm.fallback = vm.power;
                  begin(vm, transition);
                  vm.desired = VmDesired::Running;
                  vm.deadline = {};
                  if (transition.gpus == vm::GpuEffect::Acquire) {
                    TRY(plan, acquire(draft, vm, op));
                  }
                  return plan;
                });
}

Result<Accepted> VmService::stop(const std::string& name, Force force, DryRun dry_run) {
  TRY_VOID(checkHypervisor());
  return change("stop", name, dry_run,
                [&](Draft& draft, VmRecord& vm, Operation& op) -> Result<arbiter::Plan> {
                  TRY(const vm::Transition transition, vm::plan(statusOf(vm), Action::PowerOff));
                  if (transition.nothing_to_do) {
                    op.warnings.push_back("VM " + name + " is stopped already");
                    return arbiter::Plan{};
                  }
                  begin(vm, transition);
                  vm.desired = VmDesired::Stopped;
                  vm.deadline = force == Force::Yes ? draft.now : draft.now + kDefaultShutdownTime;
                  return arbiter::Plan{};
                });
}

Result<Accepted> VmService::restart(const std::string& name, DryRun dry_run) {
  TRY_VOID(checkHypervisor());
  return change("restart", name, dry_run, [&](Draft&, VmRecord& vm, Operation&) -> Result<arbiter::Plan> {
    TRY(const vm::Transition transition, vm::plan(statusOf(vm), Action::Restart));
    begin(vm, transition);
    vm.fallback = PowerState::Stopped;
    ++vm.restarts_wanted;
    return arbiter::Plan{};
  });
}

Result<Accepted> VmService::deallocate(const std::string& name, Force force, DryRun dry_run) {
  TRY_VOID(checkHypervisor());
  return change("deallocate", name, dry_run,
                [&](Draft& draft, VmRecord& vm, Operation& op) -> Result<arbiter::Plan> {
                  TRY(const vm::Transition transition, vm::plan(statusOf(vm), Action::Deallocate));
                  if (transition.nothing_to_do) {
                    op.warnings.push_back("VM " + name + " is deallocated already");
                    return arbiter::Plan{};
                  }
                  begin(vm, transition);
                  vm.desired = VmDesired::Deallocated;
                  vm.deadline = force == Force::Yes ? draft.now : draft.now + kDefaultShutdownTime;
                  return arbiter::Plan{};
                });
}

Result<Accepted> VmService::remove(const std::string& name, DryRun dry_run) {
  TRY_VOID(checkHypervisor());
  return change("delete", name, dry_run,
                [&](Draft& draft, VmRecord& vm, Operation&) -> Result<arbiter::Plan> {
                  if (vm.desired == VmDesired::Deleted) return arbiter::Plan{};
                  vm.desired = VmDesired::Deleted;
                  vm.provisioning = ProvisioningState::Deleting;
                  // What it waited for goes on without it.
                  if (!vm.recalling) return arbiter::Plan{};
                  vm.recalling = false;
                  return draft.decide(arbiter::RecallLent{holderOf(name), false}, parts_.desk.policy());
                });
}

Result<Accepted> VmService::resize(const std::string& name, const std::string& size, DryRun dry_run) {
  return change(
      "resize", name, dry_run, [&](Draft& draft, VmRecord& vm, Operation&) -> Result<arbiter::Plan> {
        TRY(const vm::Transition transition, vm::plan(statusOf(vm), Action::Resize));
        TRY(vm.asked.size, sizeFor(draft.book, size));
        TRY_VOID(
            checkCount("data disks", vm.asked.disks.size(), vm.asked.size.max_data_disks, vm.asked.size));
        TRY_VOID(checkCount("NICs", vm.asked.nics.size(), vm.asked.size.max_nics, vm.asked.size));
        const bool holds = vm.power == PowerState::Stopped || vm.policy == GpuPolicy::Hold;
        if (vm.power == PowerState::Stopped) TRY_VOID(admit(draft.book, vm));
        begin(vm, transition);
        if (!holds) {
          // What it lends is for its old size: the new one's GPUs are claimed at the start.
          return draft.decide(arbiter::ReleaseHolder{holderOf(name)}, parts_.desk.policy());
        }
        return draft.decide(arbiter::ClaimWholeGpus{holderOf(name), vm.asked.size.gpus, true},
                            parts_.desk.policy());
      });
}

/// Only of a deallocated VM; what it gives up, the keeper does when the GPU is back at the host's driver.
Result<arbiter::Plan> VmService::applyPolicy(Draft& draft, VmRecord& vm, GpuPolicy policy) const {
  if (policy == GpuPolicy::Release) return arbiter::Plan{};
  const bool lends = !loansOf(draft.book.state, vm.name).empty();
  if (policy == GpuPolicy::Lend && lends) return arbiter::Plan{};
  return draft.decide(arbiter::ClaimWholeGpus{holderOf(vm.name), vm.asked.size.gpus}, parts_.desk.policy());
}

Result<Accepted> VmService::setPolicy(const std::string& name, GpuPolicy policy,
                                      const std::optional<RecallTerms>& recall, DryRun dry_run) {
  if (recall) TRY_VOID(checkRecall(*recall));
  return change("hold", name, dry_run,
                [&](Draft& draft, VmRecord& vm, Operation& op) -> Result<arbiter::Plan> {
                  TRY_VOID(vm::plan(statusOf(vm), Action::ChangePolicy));
                  arbiter::Plan plan;
                  if (recall) vm.asked.recall = *recall;
                  if (vm.power == PowerState::Deallocated && policy != vm.policy) {
                    TRY(plan, applyPolicy(draft, vm, policy));
                    vm.provisioning = ProvisioningState::Updating;
                  }
                  if (vm.asked.size.gpus == 0)
                    op.warnings.push_back("VM " + name + " has no GPU: its policy says nothing");
                  vm.policy = policy;
                  return plan;
                });
}

Result<Accepted> VmService::putDisk(const std::string& name, int lun, std::uint64_t bytes, DryRun dry_run) {
  TRY_VOID(checkDiskSize(bytes));
  if (lun < 0 || lun > vm::kMaxLun) return fail(ErrorCode::InvalidArgument, "a LUN is 0 to 63");
  return change("disk", name, dry_run, [&](Draft&, VmRecord& vm, Operation&) -> Result<arbiter::Plan> {
    TRY_VOID(vm::plan(statusOf(vm), Action::Resize).during("disk at LUN " + std::to_string(lun)));
    const auto disk = std::ranges::find(vm.asked.disks, lun, &VmDisk::lun);
    if (disk == vm.asked.disks.end()) {
      vm.asked.disks.push_back({lun, bytes});
      TRY_VOID(checkCount("data disks", vm.asked.disks.size(), vm.asked.size.max_data_disks, vm.asked.size));
      return arbiter::Plan{};
    }
    if (bytes < disk->bytes) return fail(ErrorCode::InvalidArgument, "a disk only grows");
    disk->bytes = bytes;
    return arbiter::Plan{};
  });
}

vm::SizeCatalog VmService::sizes(const Book& book) const {
  vm::SizeCatalog catalog = parts_.catalog;
  // What was stored by this program; a size that a later catalogue brings itself is skipped there.
  if (!book.sizes.empty()) static_cast<void>(catalog.addStored(book.sizes, "stored sizes"));
  return catalog;
}

std::vector<vm::VmSize> VmService::offered() const {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  return sizes(*book).offered(fittedModels(book->state));
}

Result<void> VmService::changeSizes(
    const std::function<Result<void>(vm::SizeCatalog&, const Book&)>& change) {
  return parts_.desk.change([&](Draft& draft) -> Result<void> {
    vm::SizeCatalog catalog = sizes(draft.book);
    TRY_VOID(change(catalog, draft.book));
    draft.book.sizes = catalog.storedText();
    return {};
  });
}

Result<void> VmService::addSize(const vm::VmSize& size) {
  return changeSizes([&](vm::SizeCatalog& catalog, const Book&) { return catalog.add(size); });
}

Result<void> VmService::removeSize(const std::string& name) {
  return changeSizes(
      [&](vm::SizeCatalog& catalog, const Book& book) { return catalog.remove(name, sizesInUse(book)); });
}

std::vector<vm::CustomSize> VmService::customSizes() const {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  return sizes(*book).customSizes(fittedModels(book->state));
}

Result<void> VmService::setCustomSizes(const std::vector<vm::CustomSize>& wanted) {
  return changeSizes([&](vm::SizeCatalog& catalog, const Book& book) {
    return catalog.setCustomSizes(wanted, fittedModels(book.state), sizesInUse(book));
  });
}

Result<Accepted> VmService::addImage(const ImageRequest& request, DryRun dry_run) {
  TRY_VOID(checkName(request.info.name));
  if (!std::filesystem::path(request.file).is_absolute()) {
    return fail(ErrorCode::InvalidArgument, "\"" + request.file + "\" is not the full path of a file");
  }
  Operation operation;
  operation.kind = "image add";
  operation.subject = request.info.name;
  operation.targets = {imageTarget(request.info.name)};
  return submitChange(parts_.desk, operation, dry_run,
                      [&](Draft& draft, Operation&) -> Result<arbiter::Plan> {
                        const std::string& name = request.info.name;
                        if (draft.book.images.contains(name)) {
                          return fail(nameTaken(name, "an image has it", "berth image remove " + name));
                        }
                        ImageRecord image;
                        image.info = request.info;
                        image.source = request.file;
                        image.created = draft.now;
                        draft.putImage(std::move(image));
                        return arbiter::Plan{};
                      });
}

Result<Accepted> VmService::removeImage(const std::string& name, DryRun dry_run) {
  Operation operation;
  operation.kind = "image remove";
  operation.subject = name;
  operation.targets = {imageTarget(name)};
  return submitChange(
      parts_.desk, operation, dry_run, [&](Draft& draft, Operation&) -> Result<arbiter::Plan> {
        ImageRecord* image = draft.image(name);
        if (image == nullptr)
          return fail(Error{ErrorCode::NotFound, "there is no image " + name, "UnknownImage", {}});
        Error in_use{ErrorCode::Refused, "image " + name + " is in use", "ImageInUse", {}};
        for (const auto& [vm, record] : draft.book.vms) {
          if (record->asked.image == name) {
            in_use.details.push_back({"VM " + vm, "its disk is a clone of it", "berth vm delete " + vm});
          }
        }
        if (!in_use.details.empty()) return fail(std::move(in_use));
        image->wanted = false;
        return arbiter::Plan{};
      });
}

}  // namespace berth::service
