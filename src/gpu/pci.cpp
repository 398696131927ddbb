#include "gpu/pci.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <system_error>

#include "base/text.h"
#include "os/files.h"

namespace berth::gpu {
namespace {

namespace fs = std::filesystem;

constexpr std::uint16_t kNvidia = 0x10de;
constexpr std::uint32_t kDisplayClass = 0x03;
constexpr std::size_t kAttributeLimit = 4096;  // A sysfs attribute is at most a page.

std::optional<std::uint32_t> parseHex(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<std::uint32_t> readHex(const fs::path& file) {
  TRY(const std::string text, os::readFile(file, kAttributeLimit));
  std::string_view digits = trim(text);
  if (digits.starts_with("0x")) digits.remove_prefix(2);
  const std::optional<std::uint32_t> value = parseHex(digits);
  if (!value) return fail(ErrorCode::Corrupt, file.string() + " holds no number");
  return *value;
}

/// The number in a file, or in the last part of a link's target; nullopt: none, or -1.
std::optional<int> wholeNumber(std::string_view text) {
  const std::optional<std::int64_t> value = parseWholeNumber(trim(text));
  if (!value) return std::nullopt;
  return static_cast<int>(*value);
}

std::string linkTargetName(const fs::path& link) {
  std::error_code none;
  return fs::read_symlink(link, none).filename().string();
}

Result<PciDevice> readDevice(const fs::path& folder, PciAddress address) {
  PciDevice device;
  TRY(device.class_code, readHex(folder / "class"));
  TRY(const std::uint32_t vendor, readHex(folder / "vendor"));
  TRY(const std::uint32_t id, readHex(folder / "device"));
  device.address = std::move(address);
  device.id = {static_cast<std::uint16_t>(vendor), static_cast<std::uint16_t>(id)};
  if (const Result<std::string> node = os::readFile(folder / "numa_node", kAttributeLimit)) {
    device.numa_node = wholeNumber(*node);
  }
  device.iommu_group = wholeNumber(linkTargetName(folder / "iommu_group"));
  device.driver = linkTargetName(folder / "driver");
  return device;
}

}  // namespace

std::optional<PciAddress> parsePciAddress(std::string_view text) {
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() != 3 || parts[0].size() < 4 || parts[0].size() > 8 || parts[1].size() != 2 ||
      parts[2].size() != 4 || parts[2][2] != '.') {
    return std::nullopt;
  }
  const auto domain = parseHex(parts[0]);
  const auto bus = parseHex(parts[1]);
  const auto slot = parseHex(std::string_view(parts[2]).substr(0, 2));
  const auto function = parseHex(std::string_view(parts[2]).substr(3));
  if (!domain || !bus || !slot || !function || *slot > 0x1f || *function > 7) return std::nullopt;
  std::array<char, 24> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%04x:%02x:%02x.%x", *domain, *bus, *slot, *function);
  return PciAddress(buffer.data());
}

bool isGpu(const PciDevice& device, const std::vector<PciId>& also) {
  if (device.id.vendor == kNvidia && device.class_code >> 16U == kDisplayClass) return true;
  return std::ranges::find(also, device.id) != also.end();
}

Result<std::vector<PciDevice>> PciBus::devices() const {
  const fs::path folder = sysfs_ / "bus/pci/devices";
  std::error_code error;
  std::vector<PciDevice> found;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    std::optional<PciAddress> address = parsePciAddress(entry->path().filename().string());
    if (!address) continue;
    Result<PciDevice> device = readDevice(entry->path(), *std::move(address));
    if (!device && device.error().code == ErrorCode::NotFound) continue;  // It left while we looked.
    if (!device) return fail(std::move(device).error());
    found.push_back(*std::move(device));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return fail(errnoError(error.value(), "read", folder.string()));
  }
  std::ranges::sort(found, {}, &PciDevice::address);
  return found;
}

Result<PciDevice> PciBus::device(const PciAddress& address) const {
  if (!parsePciAddress(address.value)) {
    return fail(ErrorCode::InvalidArgument, address.value + " is no PCI address");
  }
  return readDevice(sysfs_ / "bus/pci/devices" / address.value, address);
}

Result<std::vector<PciDevice>> PciBus::gpus(const std::vector<PciId>& also) const {
  TRY(std::vector<PciDevice> all, devices());
  std::erase_if(all, [&](const PciDevice& device) { return !isGpu(device, also); });
  return all;
}

}  // namespace berth::gpu
