#include "service/vm_files.h"

#include "os/files.h"

namespace berth::service {
namespace {

constexpr std::chrono::hours kImport{6};
constexpr mode_t kFolderMode = 0711;  // QEMU goes through, as whatever user libvirt gives it.
constexpr mode_t kSeedFolderMode = 0711;

}  // namespace

vm::SeedSpec seedOf(const VmRecord& vm) {
  vm::SeedSpec seed;
  seed.instance_id = vm.uuid;
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
  return seed;
}

Result<void> StoredVmFiles::make(const VmRecord& vm, vm::Deadline deadline) {
  TRY_VOID(os::ensureDirectory(root_ / "firmware", kFolderMode));
  TRY_VOID(os::ensureDirectory(sockets_, kFolderMode));
  TRY_VOID(store_.createClone(osDiskName(vm.name), vm.asked.image, vm.asked.os_disk_bytes, deadline));
  for (const VmDisk& disk : vm.asked.disks) {
    const std::string name = dataDiskName(vm.name, disk.lun);
    if (std::filesystem::exists(store_.diskFile(name))) {
      TRY_VOID(store_.growDisk(name, disk.bytes, deadline));
    } else {
      TRY_VOID(store_.createDisk(name, disk.bytes, deadline));
    }
  }
  return makeSeed(vm, deadline);
}

/// Once the VM has run the password is forgotten here, and the seed that was made before stays.
Result<void> StoredVmFiles::makeSeed(const VmRecord& vm, vm::Deadline deadline) {
  if (vm.asked.user.empty()) return {};
  if (vm.has_run && std::filesystem::exists(seed(vm.name))) return {};
  TRY_VOID(os::ensureDirectory(root_ / "seeds", kSeedFolderMode));
  const vm::SeedSpec spec = seedOf(vm);
  TRY(const auto files,
      vm.asked.os == vm::GuestOs::Windows ? vm::windowsSeed(spec) : vm::linuxSeed(spec, random_salt_()));
  return vm::writeSeed(runner_, files, seed(vm.name), deadline);
}

Result<void> StoredVmFiles::remove(const VmRecord& vm) {
  TRY_VOID(store_.removeDisk(osDiskName(vm.name)));
  for (const VmDisk& disk : vm.asked.disks) TRY_VOID(store_.removeDisk(dataDiskName(vm.name, disk.lun)));
  for (const auto& file : {seed(vm.name), firmwareVariables(vm.name), console(vm.name)}) {
    TRY_VOID(os::removeTree(file));
  }
  return {};
}

Result<vm::ImageInfo> StoredVmFiles::import(const ImageRecord& image,
                                            const std::function<void(int)>& progress) {
  if (auto there = store_.find(image.info.name)) return there;
  return store_.import({image.info, image.source}, progress, std::chrono::steady_clock::now() + kImport);
}

}  // namespace berth::service
