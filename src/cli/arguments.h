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
  SimFault,
  SimStatus,
  Completion,
  ManPage,
  Version,
  HcsStartMps,   // Start-HcsGpuMPS
  HcsStopMps,    // Stop-HcsGpuMPS
  HcsNvidiaSmi,  // Get-HcsGpuNvidiaSmi, Get-HcsNvidiaSmi
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
  std::vector<std::string> files;  // "-" is the standard input.
  std::string container;
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

  bool operator==(const Arguments&) const = default;
};

}  // namespace berth::cli
