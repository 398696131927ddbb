// The control program's command language (MPS protocol v2, peers.md 3.3), read into values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/error.h"

namespace berth::sim::mps {

enum class Verb : std::uint8_t {
  GetServerList,
  GetServerStatus,
  StartServer,
  ShutdownServer,
  GetClientList,
  GetDeviceClientList,
  Ps,
  GetDefaultThreadPercent,
  SetDefaultThreadPercent,
  GetThreadPercent,
  SetThreadPercent,
  GetDefaultPinnedLimit,
  SetDefaultPinnedLimit,
  GetPinnedLimit,
  SetPinnedLimit,
  TerminateClient,
  Quit,
};

struct Command {
  Verb verb = Verb::GetServerList;
  pid_t server = 0;
  pid_t client = 0;
  uid_t uid = 0;
  std::uint32_t thread_percent = 0;
  std::string device;  // An index among the daemon's devices, or a UUID.
  std::uint64_t limit_bytes = 0;
  bool force = false;
  std::optional<std::uint32_t> timeout_s;
};

/// One line. InvalidArgument: no such command, or not its arguments.
Result<Command> parseCommand(std::string_view line);

/// "50.0", as the control program prints percentages.
std::string percentText(std::uint32_t percent);
/// "1024M", as it prints limits.
std::string limitText(std::uint64_t bytes);

}  // namespace berth::sim::mps
