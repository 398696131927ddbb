// What a caller can ask for about virtual machines, sizes and images. As with service.h a change is decided
// and committed before the call returns, and the world follows as an operation; every change can be rehearsed
// (B17).
//
// Calls block for the disk, for the image's catalogue and for one question to libvirt; safe from every
// thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "service/service.h"
#include "service/vm_keeper.h"
#include "service/vm_record.h"
#include "vm/admission.h"
#include "vm/hypervisor.h"
#include "vm/size_catalog.h"

namespace berth::service {

/// What `vm create` asks for.
struct VmRequest {
  std::string name;
  std::string size;
  std::string image;
  std::string user;
  std::string password;
  std::vector<std::string> ssh_keys;
  std::string custom_data_base64;
  std::uint64_t os_disk_bytes = 0;
  std::vector<std::uint64_t> data_disks;  // Bytes; LUN 0 onwards.
  std::vector<VmNic> nics;
  vm::GpuPolicy policy = vm::GpuPolicy::Hold;
  RecallTerms recall;
};

struct ImageRequest {
  vm::ImageInfo info;  // Name, OS, generation, generalized, checksum or none.
  std::string file;
};

enum class Force : std::uint8_t { No, Yes };

class VmService {
 public:
  struct Parts {
    Desk& desk;
    vm::Hypervisor& hypervisor;
    const VmFiles& files;
    vm::SizeCatalog catalog;  // As installed.
    vm::HostCapacity host;
    vm::AdmissionSettings settings;
    std::function<std::string()> new_uuid;
  };
  explicit VmService(Parts parts) : parts_(std::move(parts)) {}

  /// Unavailable: libvirt does not answer. Refused: no GPU to be had (A5, B17), memory, vCPUs or the number
  /// of VMs. Conflict or Refused (NameTaken): the name is taken.
  Result<Accepted> create(const VmRequest& request, DryRun dry_run);
  /// A7: a deallocated VM's GPUs must be had; lent ones are called back and their users get the notice (B7).
  Result<Accepted> start(const std::string& name, DryRun dry_run);
  /// A7: keeps the GPUs. `force`: the guest is not asked.
  Result<Accepted> stop(const std::string& name, Force force, DryRun dry_run);
  Result<Accepted> restart(const std::string& name, DryRun dry_run);
  /// B7: what becomes of the GPUs is the VM's policy.
  Result<Accepted> deallocate(const std::string& name, Force force, DryRun dry_run);
  Result<Accepted> remove(const std::string& name, DryRun dry_run);
  /// Stopped or deallocated only; grows or shrinks the claim on GPUs with it.
  Result<Accepted> resize(const std::string& name, const std::string& size, DryRun dry_run);
  /// B7. From release or lend to hold the GPUs are claimed now, and refused when they cannot be had.
  Result<Accepted> setPolicy(const std::string& name, vm::GpuPolicy policy,
                             const std::optional<RecallTerms>& recall, DryRun dry_run);
  /// Adds a data disk, or grows the one at that LUN, at the next start; the VM must be off.
  Result<Accepted> putDisk(const std::string& name, int lun, std::uint64_t bytes, DryRun dry_run);

  /// B6, A6.
  vm::SizeCatalog sizes(const Book& book) const;
  std::vector<vm::VmSize> offered() const;
  Result<void> addSize(const vm::VmSize& size);
  Result<void> removeSize(const std::string& name);
  std::vector<vm::CustomSize> customSizes() const;
  Result<void> setCustomSizes(const std::vector<vm::CustomSize>& sizes);

  Result<Accepted> addImage(const ImageRequest& request, DryRun dry_run);
  /// Refused (ImageInUse): VMs have disks on it.
  Result<Accepted> removeImage(const std::string& name, DryRun dry_run);

  /// Where the serial port of a running VM listens.
  std::filesystem::path consoleSocket(const std::string& name) const { return parts_.files.console(name); }

  vm::Headroom headroom() const;
  Desk& desk() { return parts_.desk; }

 private:
  using Change = std::function<Result<arbiter::Plan>(Draft&, VmRecord&, Operation&)>;
  Result<Accepted> change(const std::string& verb, const std::string& name, DryRun dry_run,
                          const Change& change);
  Result<void> checkHypervisor() const;
  Result<void> admit(const Book& book, const VmRecord& vm) const;
  Result<vm::VmSize> sizeFor(const Book& book, const std::string& name) const;
  Result<VmRecord> recordOf(const Book& book, const VmRequest& request) const;
  Result<arbiter::Plan> acquire(Draft& draft, VmRecord& vm, Operation& operation) const;
  Result<arbiter::Plan> applyPolicy(Draft& draft, VmRecord& vm, vm::GpuPolicy policy) const;
  Result<void> changeSizes(const std::function<Result<void>(vm::SizeCatalog&, const Book&)>& change);

  Parts parts_;
};

}  // namespace berth::service
