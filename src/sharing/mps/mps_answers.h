// What nvidia-cuda-mps-control says and what we noted about a running daemon, read into values. The command
// language is NVIDIA's, protocol 2 (https://docs.nvidia.com/deploy/mps/). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "os/procfs.h"

namespace berth::sharing {

/// What a server can give its clients at most; 0: no limit. They hold for each client process, not for a
/// container, and for servers started after they were set.
struct MpsLimits {
  Percent threads;
  MiB memory;
  bool operator==(const MpsLimits&) const = default;
};

enum class MpsServerState : std::uint8_t {
  Initializing,
  Active,
  Fault,  // A client's fatal fault: every client's context is gone and no new one is let in.
};

/// The answer to get_server_list and get_client_list: one pid a line, none at all for no process.
/// Unavailable: it is something else; the message quotes it.
Result<std::vector<std::int64_t>> parsePidList(std::string_view answer);
/// The answer to get_server_status.
Result<MpsServerState> parseServerState(std::string_view answer);
/// The answer to get_default_active_thread_percentage, "50.0".
Result<Percent> parsePercentage(std::string_view answer);

/// A running control daemon, as noted beside its folders for the next start of Berth.
struct MpsRecord {
  std::int64_t generation = 0;
  os::ProcessId process;
  std::string boot_id;  // Pids and start times mean nothing in another boot.
  MpsLimits limits;
  bool operator==(const MpsRecord&) const = default;
};

std::string toText(const MpsRecord& record);
/// Corrupt: not a whole record.
Result<MpsRecord> parseRecord(std::string_view text);

}  // namespace berth::sharing
