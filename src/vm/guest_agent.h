// What Berth does inside a guest, through the QEMU guest agent over the hypervisor.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "vm/hypervisor.h"

namespace berth::vm {

inline constexpr std::size_t kAgentWriteChunk =
    std::size_t{48} * 1024;  // Well below what one command may hold.

struct GuestExit {
  int code = 0;
  int signal = 0;
  std::string output;
  std::string errors;
  bool truncated = false;
};

/// Blocking; worker threads. Errors are the hypervisor's, and: Refused by the guest (its words in the
/// message) is Conflict with reason AgentError; an answer that is none of the protocol's is Corrupt.
class GuestAgent {
 public:
  /// `hypervisor` outlives this. Once a stop is requested each call is Unavailable with reason Stopped, and
  /// nothing more reaches the guest.
  GuestAgent(Hypervisor& hypervisor, VmName name, std::stop_token stop = {})
      : hypervisor_(hypervisor), name_(std::move(name)), stop_(std::move(stop)) {}

  Result<void> ping(Deadline deadline);
  /// Pings until the agent answers. Timeout: it did not.
  Result<void> waitReady(Deadline deadline);
  /// Runs a program (a full path) and waits for its end; any exit is a success of this call. Timeout: it
  /// still runs in the guest.
  Result<GuestExit> exec(const std::vector<std::string>& argv, const std::string& input, Deadline deadline);
  /// Replaces the file. Not atomic in the guest.
  Result<void> writeFile(const std::string& path, std::string_view content, Deadline deadline);
  /// The same, piece by piece: `next` gives at most kAgentWriteChunk bytes each time, none at the end.
  Result<void> writeFile(const std::string& path, const std::function<Result<std::string>()>& next,
                         Deadline deadline);
  /// What guest-get-osinfo returns: JSON.
  Result<std::string> osInfo(Deadline deadline);

 private:
  Result<std::string> send(const std::string& command, Deadline deadline);
  Result<void> writePieces(const std::string& handle, const std::function<Result<std::string>()>& next,
                           Deadline deadline);

  Hypervisor& hypervisor_;
  VmName name_;
  std::stop_token stop_;
};

/// Base64 (RFC 4648). decode: nullopt for what is not base64, blanks included.
std::string base64Encode(std::string_view bytes);
std::optional<std::string> base64Decode(std::string_view text);

}  // namespace berth::vm
