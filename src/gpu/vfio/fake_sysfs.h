// A sysfs in a temporary folder, of real files, and a kernel that does to them what a write into sysfs does.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <unistd.h>

#include "gpu/vfio/sysfs_settings.h"

namespace berth::vfio {

/// What a test's kill -9 looks like from inside.
struct Killed : std::runtime_error {
  Killed() : std::runtime_error("killed") {}
};

/// One function to put on the fake's bus.
struct FakeFunction {
  std::string address;
  std::string class_code = "0x030200";
  std::string vendor = "0x10de";
  std::string device = "0x1eb8";
  std::string driver = "nvidia";
  std::optional<int> group = 1;
};

/// The tree and its kernel. Refuses writes that the real kernel would. One thread.
class FakeSysfs final : public SysfsWriter {
 public:
  FakeSysfs() {
    // Dozens of small files for each test: in memory where that is to be had.
    const std::filesystem::path memory("/dev/shm");
    const bool in_memory = ::access(memory.c_str(), W_OK) == 0;
    const std::filesystem::path base = in_memory ? memory : std::filesystem::temp_directory_path();
    std::string pattern = (base / "berth-vfio-XXXXXX").string();
    root = ::mkdtemp(pattern.data());
    for (const char* driver : {"nvidia", "vfio-pci", "snd_hda_intel", "pcieport", "xhci_hcd"})
      addDriver(driver);
    put(proc() / "cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n");
    put(proc() / "cmdline", "quiet");
  }
  FakeSysfs(const FakeSysfs&) = delete;
  FakeSysfs& operator=(const FakeSysfs&) = delete;
  ~FakeSysfs() override {
    std::error_code none;
    std::filesystem::remove_all(root, none);
  }

  std::filesystem::path sysfs() const { return root / "sys"; }
  std::filesystem::path proc() const { return root / "proc"; }
  std::filesystem::path device(const std::string& address) const {
    return sysfs() / "bus/pci/devices" / address;
  }

  void addDriver(const std::string& name) {
    std::filesystem::create_directories(sysfs() / "bus/pci/drivers" / name);
  }

  void add(const FakeFunction& function) {
    const std::filesystem::path folder = device(function.address);
    put(folder / "class", function.class_code);
    put(folder / "vendor", function.vendor);
    put(folder / "device", function.device);
    put(folder / "driver_override", "(null)");
    put(folder / "power/control", "auto");
    put(folder / "d3cold_allowed", "1");
    put(folder / "power_state", "D0");
    if (function.group) {
      const std::filesystem::path group = sysfs() / "kernel/iommu_groups" / std::to_string(*function.group);
      std::filesystem::create_directories(group);
      std::filesystem::create_directory_symlink(group, folder / "iommu_group");
    }
    if (!function.driver.empty()) bind(function.address, function.driver);
  }

  /// Every attribute of every function, to compare before and after.
  std::map<std::string, std::string> everything() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(sysfs() / "bus/pci/devices")) {
      const std::string address = entry.path().filename().string();
      all[address + " driver"] = driverOf(address);
      for (const char* file : {"driver_override", "power/control", "d3cold_allowed"}) {
        all[address + " " + file] = get(entry.path() / file);
      }
    }
    return all;
  }

  std::string driverOf(const std::string& address) const {
    std::error_code none;
    return std::filesystem::read_symlink(device(address) / "driver", none).filename().string();
  }

  Result<void> write(const std::filesystem::path& file, const std::string& text, const PciAddress& address,
                     Deadline /*deadline*/) override {
    writes.push_back(std::filesystem::relative(file, sysfs()).string() + " = " + text);
    const int number = static_cast<int>(writes.size());
    if (kill_before == number) throw Killed();
    if (hang_at == number) {
      hung[address] = 4711;
      return fail(Error{ErrorCode::Timeout, "the kernel does not answer", kSysfsHungReason, {}});
    }
    if (fail_at == number) return fail(ErrorCode::Io, "Device or resource busy");
    TRY_VOID(obey(file, text));
    if (kill_after == number) throw Killed();
    return {};
  }

  Result<std::vector<std::int64_t>> pending(const PciAddress& address) override {
    const auto found = hung.find(address);
    if (found == hung.end()) return std::vector<std::int64_t>{};
    return std::vector<std::int64_t>{found->second};
  }

  static void put(const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << '\n';
  }
  static std::string get(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
  }

  std::filesystem::path root;
  std::vector<std::string> writes;             // "bus/pci/drivers/nvidia/unbind = 0000:3b:00.0"
  std::optional<int> kill_before, kill_after;  // Counted from 1.
  std::optional<int> fail_at, hang_at;
  std::map<PciAddress, std::int64_t> hung;

 private:
  static constexpr const char* kSysfsHungReason = "SysfsHung";

  void bind(const std::string& address, const std::string& driver) {
    std::filesystem::create_directory_symlink(sysfs() / "bus/pci/drivers" / driver,
                                              device(address) / "driver");
  }

  Result<void> obey(const std::filesystem::path& file, const std::string& text) {
    const std::string name = file.filename().string();
    if (name == "unbind") return unbindOrder(file.parent_path().filename().string(), text);
    if (name == "bind") return bindOrder(file.parent_path().filename().string(), text);
    if (name == "drivers_probe") return bindOrder(get(device(text) / "driver_override"), text);
    if (!std::filesystem::exists(file)) return fail(ErrorCode::Io, "No such file or directory");
    put(file, name == "driver_override" && text.empty() ? "(null)" : text);
    return {};
  }

  Result<void> unbindOrder(const std::string& driver, const std::string& address) {
    if (driverOf(address) != driver) return fail(ErrorCode::Io, "No such device");
    std::filesystem::remove(device(address) / "driver");
    return {};
  }

  Result<void> bindOrder(const std::string& driver, const std::string& address) {
    const std::string wanted = get(device(address) / "driver_override");
    const bool allowed = wanted == "(null)" || wanted == driver;
    if (!allowed || !driverOf(address).empty()) return fail(ErrorCode::Io, "No such device");
    bind(address, driver);
    return {};
  }
};

}  // namespace berth::vfio
