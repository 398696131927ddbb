#include "daemon/virtual_machines.h"

#include <algorithm>
#include <random>
#include <utility>

#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "os/files.h"
#include "vm/kvm_probe.h"

namespace berth::daemon {
namespace {

using service::Book;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr int kWorkers = 8;
constexpr int kExtensionWorkers = 4;
constexpr seconds kSweep{10};
constexpr seconds kOrphanRetry{30};
constexpr seconds kProbeLimit{15};
constexpr seconds kExtensionPause{2};
constexpr std::size_t kMaxSizes = std::size_t{1} << 20;
constexpr std::size_t kSaltLength = 16;
constexpr mode_t kFolderMode = 0711;
constexpr gpu::PciId kStandIn{0x1234, 0x11e8};  // What a guest sees of a simulated GPU.

constexpr std::string_view kVm = "vm/";
constexpr std::string_view kImage = "image/";
constexpr std::string_view kGpu = "gpu/";
constexpr std::string_view kSweepKey = "sweep";
constexpr std::string_view kOrphans = "orphans";

std::string key(std::string_view kind, const std::string& name) { return std::string(kind) + name; }

/// Beside the program: in a build tree, or installed.
std::filesystem::path sizesFile(const Config& config) {
  if (!config.sizes_file.empty()) return config.sizes_file;
  std::error_code error;
  const std::filesystem::path bin = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  return bin.parent_path() / "share" / "berth" / "sizes.json";
}

/// No file is no size but the user's own; a wrong one stops the start.
Result<vm::SizeCatalog> readCatalog(const std::filesystem::path& file) {
  const Result<std::string> text = os::readFile(file, kMaxSizes);
  if (text) return vm::SizeCatalog::parse(*text, file.string());
  if (text.error().code != ErrorCode::NotFound) return fail(text.error());
  log(LogLevel::Warning, "there is no catalogue of VM sizes", {{"file", file.string()}});
  return vm::SizeCatalog{};
}

std::string newUuid() {
  auto text = os::readFile("/proc/sys/kernel/random/uuid", 64);
  return text ? std::string(trim(*text)) : std::string();
}

std::string newSalt() {
  constexpr std::string_view kLetters = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::random_device random;
  std::string salt;
  for (std::size_t i = 0; i < kSaltLength; ++i) salt += kLetters[random() % kLetters.size()];
  return salt;
}

vm::HostCapacity hostCapacity() {
  constexpr std::int64_t kBytesPerMiB = std::int64_t{1} << 20;
  const std::int64_t pages = ::sysconf(_SC_PHYS_PAGES);
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  return {static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)), MiB{pages * page / kBytesPerMiB}};
}

bool hasVm(const ledger::State& state, const GpuUuid& gpu) {
  const auto of_vm = [](const ledger::Berth* b) { return b->holder.kind == ledger::HolderKind::Vm; };
  return std::ranges::any_of(ledger::berthsOn(state, gpu), of_vm);
}

}  // namespace

Result<void> Handover::toGuest(const ledger::Gpu& gpu, vm::Deadline deadline) {
  return gpu.simulated ? driver_.bind(gpu, "vfio") : real_.toGuest(gpu, deadline);
}

Result<void> Handover::toHost(const ledger::Gpu& gpu, vm::Deadline deadline) {
  return gpu.simulated ? driver_.bind(gpu, "nvidia") : real_.toHost(gpu, deadline);
}

VirtualMachines::VirtualMachines(const Config& config, Parts parts)
    : parts_(std::move(parts)),
      folder_(config.vmDir()),
      accelerator_setting_(config.accelerator),
      files_(parts_.runner, folder_, config.run_dir / "vm", newSalt) {}

Result<std::unique_ptr<VirtualMachines>> VirtualMachines::create(const Config& config, Parts parts) {
  std::unique_ptr<VirtualMachines> made(new VirtualMachines(config, std::move(parts)));
  const std::filesystem::path sizes = sizesFile(config);
  TRY(vm::SizeCatalog catalog, readCatalog(sizes));
  TRY_VOID(os::ensureDirectory(made->folder_, kFolderMode));
  TRY_VOID(made->files_.cleanUp());
  TRY(made->loop_, vm::libvirt::EventLoop::create());
  made->hypervisor_ = std::make_unique<vm::libvirt::LibvirtHypervisor>(config.libvirt_uri, *made->loop_);
  VirtualMachines& self = *made;
  self.keeper_ = std::make_unique<service::VmKeeper>(service::VmKeeper::Parts{
      self.parts_.desk, *self.hypervisor_, self.files_, self.parts_.gpus, self.parts_.instance,
      self.parts_.boot_id, [&self] { return self.accelerator(); },
      [&self](const std::string& name, auto when) { self.queue_->addAt(key(kVm, name), when); },
      [&self](const std::string& name, auto when) { self.queue_->addAt(key(kImage, name), when); },
      self.parts_.gpus_changed});
  self.service_ = std::make_unique<service::VmService>(
      service::VmService::Parts{self.parts_.desk, *self.hypervisor_, self.files_, std::move(catalog),
                                hostCapacity(), config.admission, newUuid});
  self.makeExtensions(config);
  self.queue_ = std::make_unique<WorkQueue>(kWorkers, [&self](const std::string& each) { self.work(each); });
  return made;
}

void VirtualMachines::makeExtensions(const Config& config) {
  std::vector<gpu::PciId> also = config.also_gpus;
  also.push_back(kStandIn);
  extensions_ = std::make_unique<service::ExtensionService>(service::ExtensionService::Parts{
      parts_.desk, *hypervisor_, parts_.runner, config.driversDir(), std::move(also), kExtensionPause,
      stopping_.get_token(),
      [this](const std::string& vm, auto when) { extension_queue_->addAt(vm, when); }});
  extension_queue_ = std::make_unique<WorkQueue>(kExtensionWorkers,
                                                 [this](const std::string& vm) { extensions_->tend(vm); });
}

/// libvirt's thread ends before the queue its callbacks add to.
VirtualMachines::~VirtualMachines() {
  stop();
  extensions_.reset();
  service_.reset();
  keeper_.reset();
  hypervisor_.reset();
  loop_.reset();
}

void VirtualMachines::begin() {
  hypervisor_->onEvent([this](const vm::HypervisorEvent& event) {
    if (event.kind == vm::HypervisorEvent::Kind::Reconnected) return addAll();
    queue_->add(key(kVm, event.name.value));
  });
  addAll();
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const auto& [name, vm] : book->vms) extension_queue_->add(name);
  for (const ledger::Gpu& gpu : book->state.gpus) queue_->add(key(kGpu, gpu.uuid.value));
  queue_->add(std::string(kOrphans));
  queue_->addAt(std::string(kSweepKey), steady_clock::now() + kSweep);
}

void VirtualMachines::stop() {
  stopping_.request_stop();
  if (hypervisor_) hypervisor_->onEvent({});
  if (extension_queue_) extension_queue_->stop();
  if (queue_) queue_->stop();
}

void VirtualMachines::addAll() {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  for (const auto& [name, vm] : book->vms) queue_->add(key(kVm, name));
  for (const auto& [name, image] : book->images) queue_->add(key(kImage, name));
}

void VirtualMachines::committed(const Book& before, const Book& after) {
  const bool berths_changed = before.state.berths != after.state.berths;
  for (const auto& [name, vm] : after.vms) {
    const auto old = before.vms.find(name);
    const bool changed = old == before.vms.end() || old->second != vm;
    if (changed || (berths_changed && service::waitsForGpus(*vm))) queue_->add(key(kVm, name));
  }
  for (const auto& [name, image] : after.images) {
    const auto old = before.images.find(name);
    const bool changed = old == before.images.end() || old->second->wanted != image->wanted ||
                         old->second->state != image->state;
    if (changed) queue_->add(key(kImage, name));
  }
  if (!berths_changed) return;
  for (const ledger::Gpu& gpu : before.state.gpus) {
    if (hasVm(before.state, gpu.uuid) && !hasVm(after.state, gpu.uuid))
      queue_->add(key(kGpu, gpu.uuid.value));
  }
}

void VirtualMachines::work(const std::string& each) {
  const std::string_view view = each;
  if (view.starts_with(kVm)) {
    keeper_->tend(each.substr(kVm.size()));
  } else if (view.starts_with(kImage)) {
    keeper_->tendImage(each.substr(kImage.size()));
  } else if (view.starts_with(kGpu)) {
    if (const auto back = keeper_->takeBack(GpuUuid(each.substr(kGpu.size()))); !back) {
      log(LogLevel::Warning, "a GPU is not back at its driver", {{"why", back.error().message}});
      queue_->addAt(each, steady_clock::now() + kSweep);
    }
  } else if (view == kSweepKey) {
    const std::shared_ptr<const Book> book = parts_.desk.book();
    for (const auto& [name, vm] : book->vms) queue_->add(key(kVm, name));
    queue_->addAt(each, steady_clock::now() + kSweep);
  } else if (view == kOrphans) {
    if (!keeper_->removeOrphans()) queue_->addAt(each, steady_clock::now() + kOrphanRetry);
  }
}

/// Found out at the first start of a VM, and once.
vm::Accelerator VirtualMachines::accelerator() {
  if (accelerator_setting_ != "auto") {
    return accelerator_setting_ == "kvm" ? vm::Accelerator::Kvm : vm::Accelerator::Tcg;
  }
  const auto known = found_accelerator_.with([](const auto& found) { return found; });
  if (known) return *known;
  const bool works = vm::kvmWorks(parts_.runner, folder_, steady_clock::now() + kProbeLimit);
  const vm::Accelerator found = works ? vm::Accelerator::Kvm : vm::Accelerator::Tcg;
  log(LogLevel::Info,
      works ? "virtual machines run on KVM" : "KVM does not work here; virtual machines are emulated", {});
  found_accelerator_.with([found](auto& held) { held = found; });
  return found;
}

}  // namespace berth::daemon
