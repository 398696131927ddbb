// Everything about virtual machines that the daemon builds: libvirt's connection, the files, the keeper and
// its queue. A box without libvirt has one too; its verbs then say what is missing.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/guarded.h"
#include "base/work_queue.h"
#include "daemon/config.h"
#include "daemon/simulation.h"
#include "os/process.h"
#include "service/extension_service.h"
#include "service/vm_files.h"
#include "service/vm_keeper.h"
#include "service/vm_service.h"
#include "vm/libvirt/event_loop.h"
#include "vm/libvirt/libvirt_hypervisor.h"

namespace berth::daemon {

/// A simulated GPU changes its binding in the simulated driver; the guest gets a stand-in. A real one goes by
/// VFIO.
class Handover final : public service::GpuHandover {
 public:
  /// Both outlive this.
  Handover(SimulatedDriver& driver, service::GpuHandover& real) : driver_(driver), real_(real) {}
  Result<void> toGuest(const ledger::Gpu& gpu, vm::Deadline deadline) override;
  Result<void> toHost(const ledger::Gpu& gpu, vm::Deadline deadline) override;

 private:
  SimulatedDriver& driver_;
  service::GpuHandover& real_;
};

class VirtualMachines {
 public:
  struct Parts {
    service::Desk& desk;
    os::ProcessRunner& runner;
    service::GpuHandover& gpus;
    std::string instance;
    std::string boot_id;
    /// NVML lists another set of GPUs.
    std::function<void()> gpus_changed;
  };

  /// InvalidArgument: the sizes file is none. Io: the disk. Libvirt is not asked yet.
  static Result<std::unique_ptr<VirtualMachines>> create(const Config& config, Parts parts);
  ~VirtualMachines();
  VirtualMachines(const VirtualMachines&) = delete;
  VirtualMachines& operator=(const VirtualMachines&) = delete;

  service::VmService& service() { return *service_; }
  service::ExtensionService& extensions() { return *extensions_; }

  /// Adds everything the book knows. After the desk's listener was set.
  void begin();
  /// Waits for what is being worked on; a driver that is being installed goes on in its guest. Idempotent.
  void stop();
  /// On the committing thread: only adds keys.
  void committed(const service::Book& before, const service::Book& after);

 private:
  VirtualMachines(const Config& config, Parts parts);
  void makeExtensions(const Config& config);
  void work(const std::string& key);
  void addAll();
  vm::Accelerator accelerator();

  Parts parts_;
  const std::filesystem::path folder_;
  const std::string accelerator_setting_;
  std::unique_ptr<vm::libvirt::EventLoop> loop_;
  std::unique_ptr<vm::libvirt::LibvirtHypervisor> hypervisor_;
  service::StoredVmFiles files_;
  std::unique_ptr<service::VmKeeper> keeper_;
  std::unique_ptr<service::VmService> service_;
  std::unique_ptr<service::ExtensionService> extensions_;
  std::stop_source stopping_;
  Guarded<std::optional<vm::Accelerator>> found_accelerator_;
  std::unique_ptr<WorkQueue> queue_;
  std::unique_ptr<WorkQueue> extension_queue_;  // Keys are names of VMs. Its own: an installation takes long.
};

}  // namespace berth::daemon
