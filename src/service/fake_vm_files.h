// Disks and images in memory: remembers what was made, and fails on request.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/error.h"
#include "service/vm_keeper.h"

namespace berth::service::testing {

class FakeVmFiles final : public VmFiles {
 public:
  Result<void> make(const VmRecord& vm, vm::Deadline /*deadline*/) override {
    if (refusal) return fail(*refusal);
    made[vm.name] = vm.asked.disks.size();
    return {};
  }
  Result<void> remove(const VmRecord& vm) override {
    made.erase(vm.name);
    return {};
  }
  std::filesystem::path osDisk(const std::string& vm) const override { return "/vms/" + osDiskName(vm); }
  std::filesystem::path dataDisk(const std::string& vm, int lun) const override {
    return "/vms/" + dataDiskName(vm, lun);
  }
  std::filesystem::path seed(const std::string& vm) const override { return "/vms/" + vm + ".iso"; }
  std::filesystem::path console(const std::string& vm) const override { return "/vms/" + vm + ".console"; }
  std::filesystem::path firmwareVariables(const std::string& vm) const override {
    return "/vms/" + vm + ".fd";
  }
  Result<vm::ImageInfo> import(const ImageRecord& image, const std::function<void(int)>& progress) override {
    progress(50);
    if (import_refusal) return fail(*import_refusal);
    vm::ImageInfo info = image.info;
    info.virtual_bytes = 1U << 30U;
    info.sha256 = "abc";
    images.insert(info.name);
    return info;
  }
  Result<void> removeImage(const std::string& name) override {
    images.erase(name);
    return {};
  }

  std::map<std::string, std::size_t> made;  // VMs with files, and how many data disks.
  std::set<std::string> images;
  std::optional<Error> refusal;
  std::optional<Error> import_refusal;
};

}  // namespace berth::service::testing
