// libvirt's domain and network XML from our values, and back (https://libvirt.org/formatdomain.html). Pure.
// Built as a tree by pugixml: no text of a user can become markup.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "vm/vm_spec.h"

namespace berth::vm {

inline constexpr const char* kMetadataNamespace = "https://berth.dev/xmlns/vm/1";

/// InvalidArgument: a number out of range, a relative path, a bad PCI or MAC address, two disks with one LUN,
/// a character XML cannot carry.
Result<std::string> domainXml(const VmSpec& spec);

/// One <disk> element, as attach and detach want it.
Result<std::string> diskXml(const DataDisk& disk);

/// What Berth wants to know of a domain that libvirt describes.
struct DomainDescription {
  std::string name;
  std::string uuid;
  std::string berth_id;  // Empty: not one of Berth's.
  std::string vm_name;
  std::vector<DataDisk> data_disks;
  std::vector<Nic> nics;
  std::vector<PciAddress> gpus;
  int stand_in_gpus = 0;
  std::filesystem::path console_socket;
};

/// Takes whatever else libvirt says as it comes. Corrupt: not XML, or not a <domain>.
Result<DomainDescription> readDomain(std::string_view xml);

/// A NAT network that Berth owns. Addresses are IPv4 in dotted form.
struct NatNetwork {
  std::string name;
  std::string uuid;
  std::string bridge;  // At most 15 characters.
  std::string gateway;
  int prefix = 24;
  std::string dhcp_first;  // Empty: no DHCP.
  std::string dhcp_last;
};

/// InvalidArgument: a bad address, prefix, name, or a DHCP range outside the network.
Result<std::string> networkXml(const NatNetwork& network);

/// "a.b.c.d" as a number in host order; nullopt: not an IPv4 address.
std::optional<std::uint32_t> parseIpv4(std::string_view text);

}  // namespace berth::vm
