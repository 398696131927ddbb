#include "vm/domain_xml.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <set>
#include <sstream>

#include <pugixml.hpp>

#include "base/text.h"

namespace berth::vm {
namespace {

constexpr int kFirstStandInSlot = 0x10;
constexpr std::string_view kStandInDevice = "edu,";

tl::unexpected<Error> invalid(std::string message) {
  return fail(ErrorCode::InvalidArgument, std::move(message));
}

/// XML 1.0 has no way to write control characters.
bool isXmlText(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

Result<void> checkPath(const std::filesystem::path& path, std::string_view what) {
  if (path.is_absolute() && isXmlText(path.native())) return {};
  return invalid(std::string(what) + ": \"" + path.string() + "\" is not an absolute path");
}

struct PciParts {
  unsigned domain = 0;
  unsigned bus = 0;
  unsigned slot = 0;
  unsigned function = 0;
};

std::optional<PciParts> parsePci(const PciAddress& address) {
  const std::string& text = address.value;
  constexpr std::size_t kLength = 12;  // 0000:3b:00.0
  if (text.size() != kLength || text[4] != ':' || text[7] != ':' || text[10] != '.') return std::nullopt;
  const auto hex = [&text](std::size_t from, std::size_t length, unsigned& out) {
    const char* end = text.data() + from + length;
    return std::from_chars(text.data() + from, end, out, 16).ptr == end;
  };
  PciParts parts;
  if (!hex(0, 4, parts.domain) || !hex(5, 2, parts.bus) || !hex(8, 2, parts.slot) ||
      !hex(11, 1, parts.function) || parts.slot > 0x1f || parts.function > 7) {
    return std::nullopt;
  }
  return parts;
}

bool isMac(std::string_view text) {
  constexpr std::size_t kLength = 17;
  if (text.size() != kLength) return false;
  for (std::size_t i = 0; i < kLength; ++i) {
    const bool ok = i % 3 == 2 ? text[i] == ':' : std::isxdigit(static_cast<unsigned char>(text[i])) != 0;
    if (!ok) return false;
  }
  return true;
}

std::string hexText(unsigned value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%x", value);
  return text.data();
}

pugi::xml_node child(pugi::xml_node parent, const char* name,
                     std::initializer_list<std::pair<const char*, std::string>> attributes = {}) {
  pugi::xml_node node = parent.append_child(name);
  for (const auto& [key, value] : attributes) node.append_attribute(key).set_value(value.c_str());
  return node;
}

void textChild(pugi::xml_node parent, const char* name, const std::string& text) {
  parent.append_child(name).text().set(text.c_str());
}

std::string print(const pugi::xml_document& document) {
  std::ostringstream out;
  document.save(out, " ", pugi::format_indent | pugi::format_no_declaration);
  return out.str();
}

/// "sda" to "sdz", then "sdaa".
std::string scsiName(int lun) {
  constexpr int kLetters = 26;
  const auto letter = [](int n) { return static_cast<char>('a' + n); };
  std::string name = "sd";
  if (lun >= kLetters) name += letter(lun / kLetters - 1);
  return name + letter(lun % kLetters);
}

pugi::xml_node addDisk(pugi::xml_node parent, const char* device, const char* format,
                       const std::filesystem::path& file, const std::string& target, const char* bus) {
  pugi::xml_node disk = child(parent, "disk", {{"type", "file"}, {"device", device}});
  child(disk, "driver", {{"name", "qemu"}, {"type", format}});
  child(disk, "source", {{"file", file.string()}});
  child(disk, "target", {{"dev", target}, {"bus", bus}});
  return disk;
}

void addDataDisk(pugi::xml_node parent, const DataDisk& disk) {
  pugi::xml_node node = addDisk(parent, "disk", "qcow2", disk.file, scsiName(disk.lun), "scsi");
  child(node, "address",
        {{"type", "drive"},
         {"controller", "0"},
         {"bus", "0"},
         {"target", "0"},
         {"unit", std::to_string(disk.lun)}});
}

Result<void> checkDataDisk(const DataDisk& disk) {
  if (disk.lun < 0 || disk.lun > kMaxLun) {
    return invalid("LUN " + std::to_string(disk.lun) + " is not between 0 and 63");
  }
  return checkPath(disk.file, "data disk");
}

Result<void> checkSpec(const VmSpec& spec) {
  if (!isDnsName(toLower(spec.name.value))) return invalid("\"" + spec.name.value + "\" is not a VM's name");
  if (!isXmlText(spec.id) || spec.id.empty()) return invalid("VM " + spec.name.value + ": bad id");
  if (spec.vcpus < 1) return invalid("vCPUs: " + std::to_string(spec.vcpus));
  if (spec.memory.value < 1) return invalid("memory: " + std::to_string(spec.memory.value) + " MiB");
  if (spec.stand_in_gpus < 0 || spec.stand_in_gpus > kMaxStandIns)
    return invalid("more than 8 simulated GPUs");
  TRY_VOID(checkPath(spec.os_disk, "OS disk"));
  TRY_VOID(checkPath(spec.console_socket, "console"));
  if (spec.seed_iso) TRY_VOID(checkPath(*spec.seed_iso, "seed"));
  if (spec.generation == Generation::V2) TRY_VOID(checkPath(spec.firmware.vars, "firmware variables"));
  std::set<int> luns;
  for (const DataDisk& disk : spec.data_disks) {
    TRY_VOID(checkDataDisk(disk));
    if (!luns.insert(disk.lun).second) return invalid("two data disks with LUN " + std::to_string(disk.lun));
  }
  for (const Nic& nic : spec.nics) {
    if (!isMac(nic.mac)) return invalid("\"" + nic.mac + "\" is not a MAC address");
    if (nic.network.empty() == nic.bridge.empty()) return invalid("a NIC has a network or a bridge");
    if (!isXmlText(nic.network + nic.bridge)) return invalid("bad network name");
  }
  for (const PciAddress& gpu : spec.gpus) {
    if (!parsePci(gpu)) return invalid("\"" + gpu.value + "\" is not a PCI address");
  }
  return {};
}

void addMetadata(pugi::xml_node domain, const VmSpec& spec) {
  pugi::xml_node vm =
      child(child(domain, "metadata"), "berth:vm",
            {{"xmlns:berth", kMetadataNamespace}, {"id", spec.id}, {"name", spec.name.value}});
  if (spec.stand_in_gpus > 0) {
    vm.append_attribute("standInGpus").set_value(spec.stand_in_gpus);
  }
}

void addSystem(pugi::xml_node domain, const VmSpec& spec) {
  const bool uefi = spec.generation == Generation::V2;
  pugi::xml_node os = child(domain, "os");
  pugi::xml_node type = child(os, "type", {{"arch", "x86_64"}, {"machine", uefi ? "q35" : "pc"}});
  type.text().set("hvm");
  if (uefi) {
    child(os, "loader", {{"readonly", "yes"}, {"type", "pflash"}}).text().set(spec.firmware.code.c_str());
    child(os, "nvram", {{"template", spec.firmware.vars_template.string()}})
        .text()
        .set(spec.firmware.vars.c_str());
  }
  child(os, "boot", {{"dev", "hd"}});
  pugi::xml_node features = child(domain, "features");
  child(features, "acpi");
  child(features, "apic");
  const bool kvm = spec.accelerator == Accelerator::Kvm;
  child(domain, "cpu", {{"mode", kvm ? "host-passthrough" : "maximum"}});
  child(domain, "clock", {{"offset", spec.os == GuestOs::Windows ? "localtime" : "utc"}});
  // Berth decides what runs again (rule B8); a guest that powers off stays off.
  textChild(domain, "on_poweroff", "destroy");
  textChild(domain, "on_reboot", "restart");
  textChild(domain, "on_crash", "destroy");
}

/// Debian's cloud kernel has no AHCI driver, and NoCloud takes any disk of the right label: Linux gets the
/// seed as a disk. Windows' setup looks for its answer file on CDs.
void addSeed(pugi::xml_node devices, const VmSpec& spec) {
  if (!spec.seed_iso) return;
  const bool windows = spec.os == GuestOs::Windows;
  const bool uefi = spec.generation == Generation::V2;
  pugi::xml_node disk =
      windows ? addDisk(devices, "cdrom", "raw", *spec.seed_iso, uefi ? "sdzz" : "hda", uefi ? "sata" : "ide")
              : addDisk(devices, "disk", "raw", *spec.seed_iso, "vdb", "virtio");
  child(disk, "readonly");
}

void addNic(pugi::xml_node devices, const Nic& nic) {
  const bool bridged = nic.network.empty();
  pugi::xml_node node = child(devices, "interface", {{"type", bridged ? "bridge" : "network"}});
  child(node, "mac", {{"address", toLower(nic.mac)}});
  child(node, "source", {{bridged ? "bridge" : "network", bridged ? nic.bridge : nic.network}});
  child(node, "model", {{"type", "virtio"}});
}

void addHostdev(pugi::xml_node devices, const PciAddress& gpu) {
  const PciParts pci = *parsePci(gpu);
  // Not managed: Berth binds and gives back itself, with a journal and a deadline.
  pugi::xml_node node =
      child(devices, "hostdev", {{"mode", "subsystem"}, {"type", "pci"}, {"managed", "no"}});
  child(node, "driver", {{"name", "vfio"}});
  child(child(node, "source"), "address",
        {{"domain", hexText(pci.domain)},
         {"bus", hexText(pci.bus)},
         {"slot", hexText(pci.slot)},
         {"function", hexText(pci.function)}});
}

void addDevices(pugi::xml_node domain, const VmSpec& spec) {
  pugi::xml_node devices = child(domain, "devices");
  addDisk(devices, "disk", "qcow2", spec.os_disk, "vda", "virtio");
  addSeed(devices, spec);
  child(devices, "controller", {{"type", "scsi"}, {"index", "0"}, {"model", "virtio-scsi"}});
  for (const DataDisk& disk : spec.data_disks) addDataDisk(devices, disk);
  for (const Nic& nic : spec.nics) addNic(devices, nic);
  pugi::xml_node serial = child(devices, "serial", {{"type", "unix"}});
  child(serial, "source", {{"mode", "bind"}, {"path", spec.console_socket.string()}});
  child(serial, "target", {{"type", "isa-serial"}, {"port", "0"}});
  pugi::xml_node channel = child(devices, "channel", {{"type", "unix"}});
  child(channel, "target", {{"type", "virtio"}, {"name", "org.qemu.guest_agent.0"}});
  pugi::xml_node rng = child(devices, "rng", {{"model", "virtio"}});
  child(rng, "backend", {{"model", "random"}}).text().set("/dev/urandom");
  child(devices, "memballoon", {{"model", "none"}});
  for (const PciAddress& gpu : spec.gpus) addHostdev(devices, gpu);
}

/// libvirt knows no stand-in PCI device, so QEMU is told directly.
void addStandIns(pugi::xml_node domain, const VmSpec& spec) {
  if (spec.stand_in_gpus == 0) return;
  pugi::xml_node line = child(domain, "qemu:commandline");
  const std::string bus = spec.generation == Generation::V2 ? "pcie.0" : "pci.0";
  for (int i = 0; i < spec.stand_in_gpus; ++i) {
    child(line, "qemu:arg", {{"value", "-device"}});
    child(line, "qemu:arg",
          {{"value", std::string(kStandInDevice) + "bus=" + bus +
                         ",addr=" + hexText(static_cast<unsigned>(kFirstStandInSlot + i))}});
  }
}

DataDisk readDisk(pugi::xml_node disk) {
  return {disk.child("address").attribute("unit").as_int(),
          disk.child("source").attribute("file").as_string()};
}

std::optional<PciAddress> readHostdev(pugi::xml_node node) {
  const pugi::xml_node source = node.child("source").child("address");
  if (std::string_view(node.attribute("type").as_string()) != "pci" || !source) return std::nullopt;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%04x:%02x:%02x.%x", source.attribute("domain").as_uint() & 0xffffU,
                source.attribute("bus").as_uint() & 0xffU, source.attribute("slot").as_uint() & 0x1fU,
                source.attribute("function").as_uint() & 7U);
  return PciAddress(text.data());
}

}  // namespace

std::string domainName(const VmName& name) { return "berth-" + name.value; }

PciAddress standInAddress(int index) {
  return PciAddress("0000:00:" + hexText(static_cast<unsigned>(kFirstStandInSlot + index)).substr(2) + ".0");
}

std::string macAddress(std::string_view vm_id, int nic) {
  std::uint32_t hash = 2166136261U;  // FNV-1a: the same on every build, unlike std::hash.
  const auto mix = [&hash](unsigned char byte) { hash = (hash ^ byte) * 16777619U; };
  for (const char c : vm_id) mix(static_cast<unsigned char>(c));
  mix(static_cast<unsigned char>(nic));
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "52:54:00:%02x:%02x:%02x", (hash >> 16U) & 0xffU,
                (hash >> 8U) & 0xffU, hash & 0xffU);
  return text.data();
}

Result<std::string> domainXml(const VmSpec& spec) {
  TRY_VOID(checkSpec(spec).during("VM " + spec.name.value));
  pugi::xml_document document;
  pugi::xml_node domain = child(document, "domain",
                                {{"type", spec.accelerator == Accelerator::Kvm ? "kvm" : "qemu"},
                                 {"xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0"}});
  textChild(domain, "name", domainName(spec.name));
  if (!spec.uuid.empty()) textChild(domain, "uuid", spec.uuid);
  addMetadata(domain, spec);
  child(domain, "memory", {{"unit", "MiB"}}).text().set(std::to_string(spec.memory.value).c_str());
  textChild(domain, "vcpu", std::to_string(spec.vcpus));
  addSystem(domain, spec);
  addDevices(domain, spec);
  addStandIns(domain, spec);
  return print(document);
}

Result<std::string> diskXml(const DataDisk& disk) {
  TRY_VOID(checkDataDisk(disk));
  pugi::xml_document document;
  addDataDisk(document, disk);
  return print(document);
}

Result<DomainDescription> readDomain(std::string_view xml) {
  pugi::xml_document document;
  const pugi::xml_parse_result parsed = document.load_buffer(xml.data(), xml.size());
  const pugi::xml_node domain = document.child("domain");
  if (!parsed || !domain) {
    return fail(ErrorCode::Corrupt,
                std::string("not a domain's XML: ") + (parsed ? "no <domain>" : parsed.description()));
  }
  DomainDescription result;
  result.name = domain.child_value("name");
  result.uuid = domain.child_value("uuid");
  for (const pugi::xml_node node : domain.child("metadata")) {
    // The prefix is libvirt's choice; what it stands for is not.
    const std::string name = node.name();
    const std::size_t colon = name.find(':');
    if (colon == std::string::npos || name.substr(colon) != ":vm") continue;
    const std::string declaration = "xmlns:" + name.substr(0, colon);
    if (std::string_view(node.attribute(declaration.c_str()).as_string()) != kMetadataNamespace) continue;
    result.berth_id = node.attribute("id").as_string();
    result.vm_name = node.attribute("name").as_string();
    result.stand_in_gpus = node.attribute("standInGpus").as_int();
  }
  const pugi::xml_node devices = domain.child("devices");
  const pugi::xml_node console = devices.child("serial").child("source");
  result.console_socket = console.attribute("path").as_string();
  for (const pugi::xml_node disk : devices.children("disk")) {
    if (std::string_view(disk.child("target").attribute("bus").as_string()) == "scsi") {
      result.data_disks.push_back(readDisk(disk));
    }
  }
  for (const pugi::xml_node nic : devices.children("interface")) {
    result.nics.push_back({nic.child("mac").attribute("address").as_string(),
                           nic.child("source").attribute("network").as_string(),
                           nic.child("source").attribute("network")
                               ? ""
                               : nic.child("source").attribute("bridge").as_string()});
  }
  for (const pugi::xml_node node : devices.children("hostdev")) {
    if (auto gpu = readHostdev(node)) result.gpus.push_back(*std::move(gpu));
  }
  return result;
}

std::optional<std::uint32_t> parseIpv4(std::string_view text) {
  const std::vector<std::string> parts = split(text, '.');
  if (parts.size() != 4) return std::nullopt;
  std::uint32_t address = 0;
  for (const std::string& part : parts) {
    const auto number = parseWholeNumber(part);
    if (!number || *number > 255 || part.size() > 3) return std::nullopt;
    address = address << 8U | static_cast<std::uint32_t>(*number);
  }
  return address;
}

Result<std::string> networkXml(const NatNetwork& network) {
  constexpr std::size_t kMaxInterfaceName = 15;
  if (!isDnsName(network.name)) return invalid("\"" + network.name + "\" is not a network's name");
  if (!isDnsName(network.bridge) || network.bridge.size() > kMaxInterfaceName) {
    return invalid("\"" + network.bridge + "\" is not a bridge's name");
  }
  const auto gateway = parseIpv4(network.gateway);
  if (!gateway) return invalid("\"" + network.gateway + "\" is not an IPv4 address");
  if (network.prefix < 8 || network.prefix > 30) return invalid("a prefix is 8 to 30");
  const std::uint32_t mask = ~0U << static_cast<unsigned>(32 - network.prefix);
  pugi::xml_document document;
  pugi::xml_node root = child(document, "network");
  textChild(root, "name", network.name);
  if (!network.uuid.empty()) textChild(root, "uuid", network.uuid);
  child(root, "forward", {{"mode", "nat"}});
  child(root, "bridge", {{"name", network.bridge}, {"stp", "off"}});
  pugi::xml_node ip =
      child(root, "ip", {{"address", network.gateway}, {"prefix", std::to_string(network.prefix)}});
  if (!network.dhcp_first.empty()) {
    const auto first = parseIpv4(network.dhcp_first);
    const auto last = parseIpv4(network.dhcp_last);
    if (!first || !last || *first > *last || (*first & mask) != (*gateway & mask) ||
        (*last & mask) != (*gateway & mask)) {
      return invalid("DHCP range " + network.dhcp_first + " to " + network.dhcp_last +
                     " is not inside the network");
    }
    child(child(ip, "dhcp"), "range", {{"start", network.dhcp_first}, {"end", network.dhcp_last}});
  }
  return print(document);
}

}  // namespace berth::vm
