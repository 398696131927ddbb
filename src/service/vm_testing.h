// The whole service with virtual machines and without a machine: a hypervisor, files and GPU bindings in
// memory.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "service/fake_vm_files.h"
#include "service/service_testing.h"
#include "service/vm_keeper.h"
#include "service/vm_service.h"
#include "vm/fake_hypervisor.h"

namespace berth::service::testing {

/// Remembers which GPUs guests have; refuses when told to.
class FakeHandover final : public GpuHandover {
 public:
  Result<void> toGuest(const ledger::Gpu& gpu, vm::Deadline /*deadline*/) override {
    if (refusal) return fail(*refusal);
    at_guests.insert(gpu.index);
    return {};
  }
  Result<void> toHost(const ledger::Gpu& gpu, vm::Deadline /*deadline*/) override {
    at_guests.erase(gpu.index);
    return {};
  }

  std::set<int> at_guests;
  std::optional<Error> refusal;
};

inline constexpr std::string_view kSizes = R"({"sizes": [
  {"name": "One", "vcpus": 2, "memoryMiB": 4096, "tempGiB": 0, "maxDataDisks": 2, "maxNics": 2, "premiumStorage": true,
   "iops": {"os": 0, "temp": 0, "data": 0}, "gpuModel": "T4", "gpus": 1, "gpuMemoryGiB": 16},
  {"name": "Two", "vcpus": 2, "memoryMiB": 4096, "tempGiB": 0, "maxDataDisks": 2, "maxNics": 2, "premiumStorage": true,
   "iops": {"os": 0, "temp": 0, "data": 0}, "gpuModel": "T4", "gpus": 2, "gpuMemoryGiB": 32},
  {"name": "A2", "vcpus": 2, "memoryMiB": 4096, "tempGiB": 0, "maxDataDisks": 2, "maxNics": 2, "premiumStorage": true,
   "iops": {"os": 0, "temp": 0, "data": 0}, "gpuModel": "A2", "gpus": 1, "gpuMemoryGiB": 16},
  {"name": "Plain", "vcpus": 1, "memoryMiB": 1024, "tempGiB": 0, "maxDataDisks": 2, "maxNics": 2,
   "premiumStorage": true, "iops": {"os": 0, "temp": 0, "data": 0}},
  {"name": "Huge", "vcpus": 1, "memoryMiB": 900000, "tempGiB": 0, "maxDataDisks": 2, "maxNics": 2,
   "premiumStorage": true, "iops": {"os": 0, "temp": 0, "data": 0}},
  {"name": "Custom_GPU_T4_v3", "vcpus": 8, "memoryMiB": 28672, "tempGiB": 0, "maxDataDisks": 2, "maxNics": 2,
   "premiumStorage": true, "iops": {"os": 0, "temp": 0, "data": 0}, "gpuModel": "T4", "gpus": 1, "gpuMemoryGiB": 16,
   "custom": true}]})";

/// A Box whose world has a hypervisor. An image "debian" is there from the start.
class VmBox : public Box {
 public:
  explicit VmBox(int gpu_count, arbiter::Arbitration arbitration = arbiter::Arbitration::Appliance)
      : Box(gpu_count, arbitration) {
    connect();
    EXPECT_TRUE(vms->addImage(image("debian"), DryRun::No));
    settle();
  }

  static ImageRequest image(const std::string& name) {
    ImageRequest request;
    request.info.name = name;
    request.info.generalized = false;
    request.file = "/srv/" + name + ".vhd";
    return request;
  }

  static VmRequest request(const std::string& name, const std::string& size) {
    VmRequest request;
    request.name = name;
    request.size = size;
    request.image = "debian";
    return request;
  }

  /// A restart of the daemon; `boot` differs when the host went down, and then no guest runs any more.
  void restart(const std::string& boot = "boot-1") {
    if (boot != boot_id) {
      for (auto& [name, domain] : hypervisor.domains) domain.state = vm::DomainState::Off;
      handover.at_guests.clear();
    }
    boot_id = boot;
    keeper.reset();
    vms.reset();
    Box::boot();
    connect();
  }

  void settle() {
    for (int round = 0; round < 50; ++round) {
      const auto before = desk->book();
      for (const auto& [name, image] : before->images) keeper->tendImage(name);
      for (const auto& [name, vm] : before->vms) keeper->tend(name);
      for (const ledger::Gpu& gpu : desk->book()->state.gpus) EXPECT_TRUE(keeper->takeBack(gpu.uuid));
      Box::settle();
      if (desk->book() == before) return;
    }
    ADD_FAILURE() << "the world does not come to rest";
  }

  bool create(const std::string& name, const std::string& size = "One") {
    return done(vms->create(request(name, size), DryRun::No));
  }
  /// Whether it was accepted and its operation succeeded.
  bool done(const Result<Accepted>& accepted) {
    refusal = accepted ? Error{} : accepted.error();
    if (!accepted) return false;
    settle();
    const Operation ended = operation(*accepted);
    if (ended.error) refusal = *ended.error;
    return ended.state == Operation::State::Succeeded;
  }
  const VmRecord& vm(const std::string& name) {
    kept_ = desk->book()->vms.at(name);
    return *kept_;
  }
  bool exists(const std::string& name) const { return desk->book()->vms.contains(name); }
  std::string power(const std::string& name) const {
    const auto book = desk->book();
    const auto found = book->vms.find(name);
    return found == book->vms.end() ? "gone" : std::string(vm::armCode(found->second->power)).substr(11);
  }
  vm::DomainState domain(const std::string& name) const {
    const auto found = hypervisor.domains.find(vm::VmName(name));
    return found == hypervisor.domains.end() ? vm::DomainState::Absent : found->second.state;
  }

  vm::FakeHypervisor hypervisor;
  FakeHandover handover;
  FakeVmFiles files;
  vm::AdmissionSettings settings;
  std::string boot_id = "boot-1";
  std::unique_ptr<VmKeeper> keeper;
  std::unique_ptr<VmService> vms;
  Error refusal;

 private:
  void connect() {
    VmKeeper::Parts parts{*desk,
                          hypervisor,
                          files,
                          handover,
                          "test",
                          boot_id,
                          [] { return vm::Accelerator::Tcg; },
                          [](const std::string&, auto) {},
                          [](const std::string&, auto) {},
                          [] {}};
    keeper = std::make_unique<VmKeeper>(std::move(parts));
    vms = std::make_unique<VmService>(VmService::Parts{
        *desk,
        hypervisor,
        files,
        *vm::SizeCatalog::parse(kSizes, "sizes"),
        {64, MiB{65536}},
        settings,
        [this] { return "00000000-0000-4000-8000-0000000000" + std::to_string(10 + uuids_++); }});
  }

  int uuids_ = 0;
  std::shared_ptr<const VmRecord> kept_;
};

}  // namespace berth::service::testing
