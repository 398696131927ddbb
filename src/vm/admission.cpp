#include "vm/admission.h"

#include <algorithm>
#include <utility>

namespace berth::vm {
namespace {

std::string mib(MiB memory) { return std::to_string(memory.value) + " MiB"; }

Error refusal(std::string reason, std::string message, const std::vector<VmDemand>& others) {
  Error error{ErrorCode::Refused, std::move(message), std::move(reason), {}};
  for (const VmDemand& vm : others) {
    error.details.push_back({"VM " + vm.name,
                             "has " + std::to_string(vm.vcpus) + " vCPUs and " + mib(vm.memory),
                             "deallocate or delete it"});
  }
  return error;
}

}  // namespace

Headroom headroom(const HostCapacity& host, const AdmissionSettings& settings,
                  const std::vector<VmDemand>& admitted) {
  constexpr int kPercent = 100;
  const std::int64_t memory = std::max<std::int64_t>(0, host.memory.value - settings.host_memory.value -
                                                            settings.kubernetes_memory.value) *
                              settings.memory_overcommit_percent / kPercent;
  const std::int64_t cpus =
      std::max<std::int64_t>(0, host.cpus - settings.host_cpus - settings.kubernetes_cpus) *
      settings.cpu_overcommit_percent / kPercent;
  Headroom left{settings.max_vms - static_cast<int>(admitted.size()), static_cast<int>(cpus), MiB{memory}};
  for (const VmDemand& vm : admitted) {
    left.vcpus -= vm.vcpus;
    left.memory.value -= vm.memory.value + settings.overhead_per_vm.value;
  }
  return left;
}

Result<void> admit(const VmDemand& wanted, const HostCapacity& host, const AdmissionSettings& settings,
                   const std::vector<VmDemand>& admitted) {
  std::vector<VmDemand> others;
  std::copy_if(admitted.begin(), admitted.end(), std::back_inserter(others),
               [&wanted](const VmDemand& vm) { return vm.name != wanted.name; });
  const Headroom left = headroom(host, settings, others);
  const std::string subject = "VM " + wanted.name;
  if (left.vms < 1) {
    return fail(refusal("TooManyVms",
                        subject + ": this device runs at most " + std::to_string(settings.max_vms) +
                            " VMs, and there are " + std::to_string(others.size()),
                        others));
  }
  const std::int64_t needed = wanted.memory.value + settings.overhead_per_vm.value;
  if (needed > left.memory.value) {
    return fail(refusal("InsufficientMemory",
                        subject + " needs " + mib(MiB{needed}) + " (" + mib(settings.overhead_per_vm) +
                            " of it for the hypervisor); free are " +
                            mib(MiB{std::max<std::int64_t>(0, left.memory.value)}) + " of " +
                            mib(host.memory) + ", with " + mib(settings.host_memory) +
                            " kept for the host and " + mib(settings.kubernetes_memory) + " for Kubernetes",
                        others));
  }
  if (wanted.vcpus > left.vcpus) {
    return fail(refusal("InsufficientCpus",
                        subject + " needs " + std::to_string(wanted.vcpus) + " vCPUs; free are " +
                            std::to_string(std::max(0, left.vcpus)) + " of " + std::to_string(host.cpus) +
                            " CPUs at " + std::to_string(settings.cpu_overcommit_percent) +
                            " % overcommit, with " + std::to_string(settings.host_cpus) +
                            " kept for the host and " + std::to_string(settings.kubernetes_cpus) +
                            " for Kubernetes",
                        others));
  }
  return {};
}

}  // namespace berth::vm
