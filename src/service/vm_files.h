// The VMs' files on the real disk: images and disks by vm::ImageStore, seeds and UEFI variables beside them.
//   ROOT/images, ROOT/disks   vm/image.h
//   ROOT/seeds/NAME.iso       first-boot data, mode 0600
//   ROOT/firmware/NAME.fd     UEFI variables, made by libvirt
//   SOCKETS/NAME.console      the serial port, made by libvirt
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "os/process.h"
#include "service/vm_keeper.h"

namespace berth::service {

class StoredVmFiles final : public VmFiles {
 public:
  /// `runner` outlives it. `random_salt` gives 16 characters of [./0-9A-Za-z], new ones each time.
  StoredVmFiles(os::ProcessRunner& runner, std::filesystem::path root, std::filesystem::path sockets,
                std::function<std::string()> random_salt)
      : runner_(runner),
        store_(runner, root),
        root_(std::move(root)),
        sockets_(std::move(sockets)),
        random_salt_(std::move(random_salt)) {}

  /// Removes what a crash left half made. At start, before anything else.
  Result<void> cleanUp() { return store_.cleanUp(); }

  Result<void> make(const VmRecord& vm, vm::Deadline deadline) override;
  Result<void> remove(const VmRecord& vm) override;
  std::filesystem::path osDisk(const std::string& vm) const override {
    return store_.diskFile(osDiskName(vm));
  }
  std::filesystem::path dataDisk(const std::string& vm, int lun) const override {
    return store_.diskFile(dataDiskName(vm, lun));
  }
  std::filesystem::path seed(const std::string& vm) const override { return root_ / "seeds" / (vm + ".iso"); }
  std::filesystem::path console(const std::string& vm) const override { return sockets_ / (vm + ".console"); }
  std::filesystem::path firmwareVariables(const std::string& vm) const override {
    return root_ / "firmware" / (vm + ".fd");
  }
  Result<vm::ImageInfo> import(const ImageRecord& image, const std::function<void(int)>& progress) override;
  Result<void> removeImage(const std::string& name) override { return store_.removeImage(name); }

 private:
  Result<void> makeSeed(const VmRecord& vm, vm::Deadline deadline);

  os::ProcessRunner& runner_;
  vm::ImageStore store_;
  const std::filesystem::path root_;
  const std::filesystem::path sockets_;
  const std::function<std::string()> random_salt_;
};

/// What the guest is told at its first boot.
vm::SeedSpec seedOf(const VmRecord& vm);

}  // namespace berth::service
