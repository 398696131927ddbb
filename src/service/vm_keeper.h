// Keeps virtual machines and images as the book wants them: what the steps (vm_steps.h) come to in libvirt,
// among the files and on the GPUs.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "service/desk.h"
#include "service/vm_steps.h"
#include "vm/hypervisor.h"
#include "vm/image.h"

namespace berth::service {

/// Moves a GPU between the host's driver and a guest (simulated: the simulated driver's binding; real: VFIO).
/// Every call may be repeated. Blocking; safe from several threads, one GPU at a time.
class GpuHandover {
 public:
  virtual ~GpuHandover() = default;
  /// Conflict: something on the host uses it. Unavailable: this box cannot pass it through; the message says
  /// why.
  virtual Result<void> toGuest(const ledger::Gpu& gpu, vm::Deadline deadline) = 0;
  virtual Result<void> toHost(const ledger::Gpu& gpu, vm::Deadline deadline) = 0;
};

/// The VMs' files: disks, seeds, images. Implemented over vm::ImageStore; a fake in tests. Blocking.
class VmFiles {
 public:
  virtual ~VmFiles() = default;
  /// Makes whatever is missing of the VM's disks and of its first-boot seed, and grows what is too small.
  virtual Result<void> make(const VmRecord& vm, vm::Deadline deadline) = 0;
  /// Removes all of it. Succeeds when there is nothing.
  virtual Result<void> remove(const VmRecord& vm) = 0;
  virtual std::filesystem::path osDisk(const std::string& vm) const = 0;
  virtual std::filesystem::path dataDisk(const std::string& vm, int lun) const = 0;
  virtual std::filesystem::path seed(const std::string& vm) const = 0;
  virtual std::filesystem::path console(const std::string& vm) const = 0;
  virtual std::filesystem::path firmwareVariables(const std::string& vm) const = 0;

  /// Imports an image; an earlier whole import is a success.
  virtual Result<vm::ImageInfo> import(const ImageRecord& image,
                                       const std::function<void(int)>& progress) = 0;
  virtual Result<void> removeImage(const std::string& name) = 0;
};

/// The network that VMs get which ask for none in particular.
vm::NatNetwork defaultNetwork();

/// What a domain says whose it is: the daemon's instance and the VM's UUID.
std::string domainId(const std::string& instance, const std::string& uuid);

struct VmHost {
  std::string instance;
  vm::Accelerator accelerator = vm::Accelerator::Tcg;
};

/// The domain of a VM: pure. `gpus` are those it holds; simulated ones become stand-ins.
vm::VmSpec domainOf(const VmRecord& vm, const std::vector<ledger::Gpu>& gpus, const VmFiles& files,
                    const VmHost& host);

/// The GPUs on which a VM has a berth, in index order.
std::vector<ledger::Gpu> gpusOf(const ledger::State& state, const std::string& vm);

/// Safe from several threads; tend() of one name must not overlap with itself.
class VmKeeper {
 public:
  struct Parts {
    Desk& desk;
    vm::Hypervisor& hypervisor;
    VmFiles& files;
    GpuHandover& gpus;
    std::string instance;  // Which daemon's domains are ours.
    std::string boot_id;
    /// KVM or TCG: asked before each start; found out once.
    std::function<vm::Accelerator()> accelerator;
    /// Asks for tend(name), or tendImage(name), again.
    std::function<void(const std::string& vm, std::chrono::steady_clock::time_point when)> again;
    std::function<void(const std::string& image, std::chrono::steady_clock::time_point when)> image_again;
    /// A GPU came or went: NVML lists another set.
    std::function<void()> gpus_changed;
  };

  explicit VmKeeper(Parts parts) : parts_(std::move(parts)) {}

  /// Brings one VM as far as it can be brought now. Blocks for libvirt and qemu-img.
  void tend(const std::string& name);
  /// The same for an image: imports it, or removes it.
  void tendImage(const std::string& name);
  /// A GPU that no VM has (any more) goes back to the host's driver.
  Result<void> takeBack(const GpuUuid& gpu);
  /// Ends domains of this instance that the book does not know: what a crash left. Unavailable: libvirt is
  /// away.
  Result<void> removeOrphans();

 private:
  enum class Next : std::uint8_t { GoOn, Rest };

  Result<VmWorld> observe(const Book& book, const VmRecord& vm);
  Result<Next> carryOut(const VmRecord& vm, const VmStep& step);
  Result<Next> claim(const VmRecord& vm);
  Result<void> evict(const VmRecord& vm);
  Result<void> start(const VmRecord& vm);
  Result<void> reboot(const VmRecord& vm);
  Result<void> shutDown(const VmRecord& vm);
  Result<void> giveUp(const VmRecord& vm);
  Result<void> giveUpStart(const VmRecord& vm, Error error);
  Result<void> remove(const VmRecord& vm);
  void removeNetwork(const VmRecord& vm);
  Result<void> record(const VmRecord& vm, vm::PowerState power);
  Result<void> refreshAddresses(const VmRecord& vm);
  Result<void> toHost(const VmRecord& vm);
  Result<void> update(const std::string& name, const std::function<void(Draft&, VmRecord&)>& change);
  void failed(const VmRecord& vm, const VmStep& step, const Error& error);
  Result<void> importImage(const ImageRecord& image);

  Parts parts_;
};

}  // namespace berth::service
