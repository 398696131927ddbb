// Which operating system a guest runs, and whether a catalogue's name for one ("Ubuntu 18.x LTS",
// "RHEL/CentOS 7.x", "Windows Server 2019") means it. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "vm/vm_spec.h"

namespace berth::vm::extension {

/// As the guest agent's guest-get-osinfo tells it, in lower case where it is an id.
struct OsInfo {
  std::string id;           // "ubuntu", "rhel", "mswindows"
  std::string version_id;   // "22.04", "7.9"; Windows: "2019", "10"
  std::string pretty_name;  // "Ubuntu 22.04.3 LTS", "Windows Server 2019 Datacenter"
  std::string variant_id;   // Windows: "server" or "client"
  bool operator==(const OsInfo&) const = default;
};

/// Reads the agent's answer, the "return" object included. Corrupt: it is not JSON, or says nothing of the
/// kind.
Result<OsInfo> parseOsInfo(std::string_view answer);

GuestOs family(const OsInfo& os);

/// True when the catalogue's name means this OS. A release of the name ("8.x", "8.6", "22.04", "2016 1607")
/// has to be the guest's; a name without a release means any.
bool matches(std::string_view catalog_name, const OsInfo& os);
bool matchesAny(const std::vector<std::string>& catalog_names, const OsInfo& os);

}  // namespace berth::vm::extension
