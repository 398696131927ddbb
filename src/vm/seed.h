// What a new guest is told at its first boot: a NoCloud seed for cloud-init
// (https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html) or an answer file for
// Windows' setup. Text is emitted by yaml-cpp and pugixml: no user's words become syntax.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "os/process.h"
#include "vm/hypervisor.h"
#include "vm/vm_spec.h"

namespace berth::vm {

inline constexpr std::size_t kMaxCustomData = std::size_t{64} * 1024;  // Decoded.

struct StaticAddress {
  std::string address;  // "10.0.0.5"
  int prefix = 24;
  std::string gateway;  // Empty: none.
  std::vector<std::string> dns;
};

struct SeedNic {
  std::string mac;
  std::optional<StaticAddress> fixed;  // Else DHCP.
};

/// ARM's osProfile, and the network.
struct SeedSpec {
  std::string instance_id;
  std::string hostname;
  std::string user;
  std::string password;  // Empty: none, keys only.
  std::vector<std::string> ssh_keys;
  std::string custom_data_base64;  // As ARM carries it.
  std::vector<SeedNic> nics;
};

/// File names and contents of the seed's ISO. InvalidArgument: checkSeed's refusals, custom data that is not
/// base64 or more than kMaxCustomData bytes. Salt is 16 characters of [./0-9A-Za-z], random for each
/// password.
Result<std::map<std::string, std::string>> linuxSeed(const SeedSpec& spec, const std::string& salt);
Result<std::map<std::string, std::string>> windowsSeed(const SeedSpec& spec);

/// Azure's rules for names and passwords: a Linux host name of 1 to 63 and a Windows one of 1 to 15
/// characters, no reserved user names, a password of 12 to 72 (Windows 123) characters with three of lower
/// case, upper case, digit and special character; Windows needs a password, Linux a password or a key.
Result<void> checkSeed(const SeedSpec& spec, GuestOs os);

/// Writes the files as an ISO 9660 with genisoimage, mode 0600, in one step.
Result<void> writeSeed(os::ProcessRunner& runner, const std::map<std::string, std::string>& files,
                       const std::filesystem::path& iso, Deadline deadline);

}  // namespace berth::vm
