// What one call of `berth` asks for (design 10), as a value: the parser makes it from the command line,
// everything after that reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace berth::cli {

enum class Output : std::uint8_t { Table, Json, Yaml };

enum class Verb : std::uint8_t {
  Status,
  GpuList,
  GpuShow,
  GpuMode,
  Apply,
  Delete,
  WorkloadList,
  WorkloadShow,
  WorkloadLogs,
  WorkloadStop,
  WorkloadStart,
  WorkloadSet,
  WorkloadDelete,
  Reserve,
  Unreserve,
  KubernetesEnable,
  KubernetesDisable,
  KubernetesRelease,
  KubernetesStatus,
  MpsStart,
  MpsStop,
  MpsStatus,
  Events,
  OperationList,
  OperationShow,
  OperationWait,
  TokenCreate,
  TokenList,
  TokenReset,
  TokenRevoke,
  SimFault,
  SimStatus,
  Completion,
  ManPage,
  Version,
  HcsStartMps,   // Start-HcsGpuMPS
  HcsStopMps,    // Stop-HcsGpuMPS
  HcsNvidiaSmi,  // Get-HcsGpuNvidiaSmi, Get-HcsNvidiaSmi
  VmCreate,
  VmList,
  VmShow,
  VmStart,
  VmStop,
  VmRestart,
  VmDeallocate,
  VmDelete,
  VmResize,
  VmHold,
  VmDisk,
  VmConsole,
  VmExtensionAdd,
  VmExtensionList,
  VmExtensionRetry,
  VmExtensionRemove,
  ImageAdd,
  ImageList,
  ImageRemove,
  SizeList,
  SizeAdd,
  SizeRemove,
  HcsGetCustomSizes,  // Get-HcsVMCustomSizes
  HcsSetCustomSizes,  // Set-HcsVMCustomSizes
};

/// What the verbs of virtual machines, images and sizes take besides a name. Files are read before the
/// request is made: `password`, `ssh_keys` and `custom_data` are then their contents.
struct VmArguments {
  std::string size;
  std::string image;
  std::string user;
  std::string password_file;
  std::vector<std::string> ssh_key_files;
  std::string custom_data_file;
  std::string password;
  std::vector<std::string> ssh_keys;
  std::string custom_data;
  std::optional<std::int64_t> os_disk_gib;
  std::vector<std::int64_t> data_disks_gib;
  std::vector<std::string>
      networks;  // "default", "none", "network:NAME" or "bridge:NAME", then ",ADDRESS/PREFIX".
  std::string hold;
  std::optional<std::int64_t> notice_seconds;
  std::string at_deadline;
  bool force = false;
  std::int64_t lun = 0;
  std::int64_t gib = 0;

  std::string file;
  std::string os;
  std::string generation;
  bool specialized = false;
  std::string sha256;

  std::int64_t vcpus = 0;
  std::int64_t memory_mib = 0;
  std::string gpu_model;
  bool all = false;
  std::string sizes_text;
  bool real_json = false;

  std::string extension;
  std::string extension_type;
  std::string extension_version;
  std::string settings;  // A file's name, and once read a JSON object.
  bool wait = false;

  bool operator==(const VmArguments&) const = default;
};

struct Arguments {
  Verb verb = Verb::Status;

  std::string socket;  // Empty: the environment's, else the default.
  Output output = Output::Table;
  bool no_wait = false;
  bool no_color = false;
  std::optional<std::int64_t> timeout_seconds;

  std::string name;                // A workload, a reservation, an operation's id, a shell.
  std::optional<std::string> gpu;  // Index, UUID, a UUID's beginning or PCI address.
  std::string mode;
  std::vector<std::string> files;  // Manifests, or the one with a secret; "-" is the standard input.
  std::string container;
  std::string role = "reader";
  std::optional<std::int64_t> lifetime_seconds;  // Of a token.
  std::string fault;
  std::optional<std::int64_t> fault_value;
  std::int64_t gpus = 1;
  std::optional<std::int64_t> memory_mib;
  std::optional<std::int64_t> compute_percent;
  std::optional<std::int64_t> tail;
  std::int64_t since = 0;
  bool dry_run = false;
  bool restart = false;
  bool follow = false;
  VmArguments vm;

  bool operator==(const Arguments&) const = default;
};

}  // namespace berth::cli
