// May one more VM run on this box? Memory, virtual CPUs and the number of VMs; the GPUs are the arbiter's.
// Pure. The appliance's rules are appliance.md 47 to 49.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace berth::vm {

inline constexpr int kDefaultMaxVms = 24;  // appliance.md 47

/// What the operator set. Percentages are whole numbers; 100 is no overcommit.
struct AdmissionSettings {
  int max_vms = kDefaultMaxVms;
  int memory_overcommit_percent = 100;
  int cpu_overcommit_percent = 100;
  MiB host_memory{2048};  // Left to the host.
  int host_cpus = 0;
  MiB kubernetes_memory{0};  // Left to the device's Kubernetes and Berth's containers.
  int kubernetes_cpus = 0;
  MiB overhead_per_vm{160};  // QEMU itself, on top of the guest's memory.
};

/// One VM's demand. Those that count are all that run or may run again without asking: every VM but the
/// deallocated ones.
struct VmDemand {
  std::string name;
  int vcpus = 0;
  MiB memory;
};

struct HostCapacity {
  int cpus = 0;
  MiB memory;
};

/// What is left, for showing.
struct Headroom {
  int vms = 0;
  int vcpus = 0;
  MiB memory;
  bool operator==(const Headroom&) const = default;
};

/// Numbers below zero mean that settings were tightened after VMs were admitted.
Headroom headroom(const HostCapacity& host, const AdmissionSettings& settings,
                  const std::vector<VmDemand>& admitted);

/// Refused with reason TooManyVms, InsufficientMemory or InsufficientCpus; the message names the numbers, the
/// details each VM that has some. A VM in `admitted` of the wanted one's name is its own old self (a resize
/// or a start) and does not count.
Result<void> admit(const VmDemand& wanted, const HostCapacity& host, const AdmissionSettings& settings,
                   const std::vector<VmDemand>& admitted);

}  // namespace berth::vm
