// A process's question to the MPS control daemon, at the socket `control` in the pipe directory: may I be
// your client on this GPU? One line each way; mps/control.cpp answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "engine/session.h"

namespace berth::sim {

inline constexpr std::size_t kMaxMpsLine = 512;

struct MpsRequest {
  std::string uuid;
  std::uint32_t thread_percent = 0;      // 0: not stated.
  std::uint64_t pinned_limit_bytes = 0;  // 0: not stated.
  bool operator==(const MpsRequest&) const = default;
};

struct MpsAnswer {
  bool plain = false;  // This daemon does not serve that GPU: go on without MPS.
  Status status = Status::Ok;
  std::uint32_t server_slot = 0;
  std::uint32_t server_generation = 0;
  std::uint32_t thread_percent = 100;
  std::uint64_t pinned_limit_bytes = 0;
  bool operator==(const MpsAnswer&) const = default;
};

std::string toLine(const MpsRequest& request);
std::string toLine(const MpsAnswer& answer);
std::optional<MpsRequest> parseMpsRequest(std::string_view line);
std::optional<MpsAnswer> parseMpsAnswer(std::string_view line);

/// CUDA_MPS_PIPE_DIRECTORY, else /tmp/nvidia-mps.
std::filesystem::path mpsPipeDirectory();

/// A connected socket to the daemon of `pipe_directory`, or -errno.
int connectToMps(const std::filesystem::path& pipe_directory);

/// Reads up to a line's end from `fd`; empty when the other side went away or said too much. Blocks.
std::string readLine(int fd);
bool writeAll(int fd, std::string_view text);

/// Asks, and waits for the answer: as long as the daemon takes, which may be until another user's server has
/// ended. Nothing when no daemon is there; then the process runs without MPS.
std::optional<MpsAnswer> askMps(const std::filesystem::path& pipe_directory, const MpsRequest& request);

}  // namespace berth::sim
