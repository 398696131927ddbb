// Does KVM work here? /dev/kvm alone says little: some hosts have a device whose guests die or hang. So a
// guest is really run, with the CPU model that VMs get: a boot sector that goes to protected mode and says
// that it lives.
#pragma once

#include <filesystem>

#include "os/process.h"
#include "vm/hypervisor.h"

namespace berth::vm {

/// Runs the guest; false for whatever keeps it from living before the deadline, QEMU's absence included.
/// `folder` takes the boot sector for the time being. Blocks for a second where KVM works.
bool kvmWorks(os::ProcessRunner& runner, const std::filesystem::path& folder, Deadline deadline);

/// The 512 bytes of the boot sector.
std::string kvmProbeSector();

}  // namespace berth::vm
