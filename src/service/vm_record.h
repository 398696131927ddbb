// Virtual machines and images as the service remembers them: what was asked, what is wanted, how far it is.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "vm/hypervisor.h"
#include "vm/image.h"
#include "vm/lifecycle.h"
#include "vm/seed.h"
#include "vm/vm_size.h"
#include "vm/vm_spec.h"

namespace berth::service {

/// What a VM is to come to. A VM that is restarted stays Running and counts its restarts.
enum class VmDesired : std::uint8_t { Running, Stopped, Deallocated, Deleted };
std::string_view name(VmDesired desired);  // "running", "stopped", "deallocated", "deleted"

/// B7: what happens when a lent GPU is still used at the end of the notice.
enum class AtDeadline : std::uint8_t {
  Stop,  // The containers on it are stopped, and the VM starts.
  Fail,  // The VM's start fails; the containers stay.
};
std::string_view name(AtDeadline choice);  // "stop", "fail"
bool fromName(std::string_view name, AtDeadline& out);

inline constexpr std::chrono::seconds kDefaultNotice{30};
inline constexpr std::chrono::seconds kDefaultShutdownTime{60};

/// How a lent GPU is taken back when the VM starts (B7).
struct RecallTerms {
  std::chrono::seconds notice = kDefaultNotice;
  AtDeadline at_deadline = AtDeadline::Stop;
  bool operator==(const RecallTerms&) const = default;
};

struct VmDisk {
  int lun = 0;
  std::uint64_t bytes = 0;
  bool operator==(const VmDisk&) const = default;
};

/// A NIC as asked: one of Berth's own NAT network (both empty), a libvirt network, or a bridge of the host.
struct VmNic {
  std::string network;
  std::string bridge;
  std::string mac;  // Empty: made from the VM's id.
  std::optional<vm::StaticAddress> fixed;
};
bool operator==(const VmNic& a, const VmNic& b);

/// What the VM was asked to be. Size and image are copies: neither changes under a VM.
struct VmAsked {
  std::string image;
  vm::GuestOs os = vm::GuestOs::Linux;
  vm::Generation generation = vm::Generation::V1;
  bool generalized = true;
  vm::VmSize size;
  std::uint64_t os_disk_bytes = 0;  // 0: as large as the image.
  std::vector<VmDisk> disks;
  std::vector<VmNic> nics;
  std::string user;      // Empty: no seed; only a specialized image goes without.
  std::string password;  // Forgotten once the VM has run: the seed has it.
  std::vector<std::string> ssh_keys;
  std::string custom_data_base64;
  RecallTerms recall;
  bool operator==(const VmAsked&) const = default;
};

struct VmRecord {
  std::string name;
  std::string uuid;  // The domain's, and Berth's own id of this VM.
  VmAsked asked;
  VmDesired desired = VmDesired::Running;
  vm::GpuPolicy policy = vm::GpuPolicy::Hold;
  vm::PowerState power = vm::PowerState::Deallocated;
  vm::ProvisioningState provisioning = vm::ProvisioningState::Creating;
  vm::PowerState fallback = vm::PowerState::Deallocated;  // Where a start that fails goes back to.
  std::int64_t restarts_wanted = 0;
  std::int64_t restarts_done = 0;
  std::int64_t attempts = 0;  // Failed ones at what goes on.
  /// Of what goes on: until when the guest may shut down by itself, or a lent GPU's users may finish.
  std::chrono::system_clock::time_point deadline{};
  bool recalling = false;  // Waits for the GPUs it lent.
  bool evicting = false;   // The notice is over, and their users are being stopped.
  bool has_run = false;    // Since it was made.
  std::string boot_id;
  std::string accelerator;  // "kvm" or "tcg": what it was started with last.
  std::vector<vm::GuestAddress> addresses;
  std::string message;
  std::optional<Error> error;  // Of the last thing that failed.
  std::chrono::system_clock::time_point created{};
  bool operator==(const VmRecord&) const = default;
};

/// What vm::plan() wants to know.
vm::VmStatus statusOf(const VmRecord& vm);
/// True while something is being done to it.
bool isBusy(const VmRecord& vm);

struct ImageRecord {
  enum class State : std::uint8_t { Importing, Ready, Failed };

  vm::ImageInfo info;  // sha256: the one asked for until it is ready, then the file's own.
  std::string source;
  bool wanted = true;
  State state = State::Importing;
  int percent = 0;
  std::optional<Error> error;
  std::chrono::system_clock::time_point created{};
  bool operator==(const ImageRecord&) const = default;
};
std::string_view name(ImageRecord::State state);  // "importing", "ready", "failed"

/// "vm1-os", "vm1-data-0": the disks' names among the files.
std::string osDiskName(const std::string& vm);
std::string dataDiskName(const std::string& vm, int lun);

}  // namespace berth::service
