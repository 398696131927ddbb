// The daemon's configuration: a YAML file, then the command line on top of it (docs/configuration.md).
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "arbiter/arbiter.h"
#include "auth/sign_in.h"
#include "base/error.h"
#include "base/log.h"
#include "gpu/pci.h"
#include "http/tcp_listener.h"
#include "sharing/guard/enforcement.h"
#include "vm/admission.h"

namespace berth::daemon {

struct Config {
  std::filesystem::path state_dir = "/var/lib/berth";
  std::filesystem::path run_dir = "/run/berth";
  std::filesystem::path socket;  // Empty: <run_dir>/berth.sock
  std::string socket_group;      // Empty: the daemon's own.
  std::filesystem::path driver_root = "/";
  std::string simulate;            // "t4:2": the simulated driver with these GPUs.
  std::filesystem::path sim_root;  // Where the simulated driver lies; empty: beside the program.
  std::string engine_socket;       // Empty: the first of Podman's and Docker's usual ones that exists.
  arbiter::Arbitration arbitration = arbiter::Arbitration::Appliance;
  std::vector<gpu::PciId> also_gpus;    // PCI ids that count as GPUs, "1234:11e8".
  std::filesystem::path guard_library;  // Empty: beside the program, if it is there.
  sharing::Enforcement enforcement = sharing::Enforcement::Stop;
  std::vector<http::TcpAddress> listen;   // Empty: the unix socket only.
  std::string device_name;                // Clients use management.NAME; empty: the host's name.
  std::filesystem::path tls_certificate;  // Empty: one of our own making.
  std::filesystem::path tls_key;          // Given together with the certificate, or not at all.
  std::chrono::seconds token_lifetime = auth::kDefaultLifetime;
  std::string tenant = auth::kDefaultTenant;
  LogLevel log_level = LogLevel::Info;
  std::string libvirt_uri = "qemu:///system";
  std::filesystem::path vm_dir;  // Disks and images; empty: beside the state directory, "<state_dir>-vms".
  std::filesystem::path drivers_dir;  // Of the driver extension; empty: "drivers" in vmDir().
  std::filesystem::path sizes_file;   // Empty: beside the program.
  std::string accelerator = "auto";   // "kvm", "tcg"
  vm::AdmissionSettings admission;

  std::filesystem::path vmDir() const {
    return vm_dir.empty() ? state_dir.string() + "-vms" : vm_dir.string();
  }
  std::filesystem::path driversDir() const { return drivers_dir.empty() ? vmDir() / "drivers" : drivers_dir; }
  std::filesystem::path socketPath() const { return socket.empty() ? run_dir / "berth.sock" : socket; }
};

/// Reads the file's text over `config`. InvalidArgument with file, line and key: not YAML, an unknown key, a
/// value that is none. Pure.
Result<Config> parseConfig(std::string_view text, const std::string& file, Config config);

/// What must hold between settings once all are known. InvalidArgument.
Result<void> checkConfig(const Config& config);

/// Sets one option of the command line by its key in the file. InvalidArgument: "simulate: ...",
/// or there is no such key.
Result<Config> setOption(const std::string& key, const std::string& value, Config config);

/// "t4:2" as profile and count; InvalidArgument for a count outside 1 to 8.
Result<void> checkSimulate(const std::string& text);

}  // namespace berth::daemon
