#include "engine/mps_client.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/text.h"

namespace berth::sim {
namespace {

constexpr std::array<std::pair<int, Status>, 6> kCodes{{{46, Status::DeviceUnavailable},
                                                        {805, Status::MpsConnectionFailed},
                                                        {807, Status::MpsServerNotReady},
                                                        {808, Status::MpsMaxClientsReached},
                                                        {809, Status::MpsMaxConnectionsReached},
                                                        {810, Status::MpsClientTerminated}}};

template <typename T>
bool takeNumber(const std::string& word, T& value) {
  const auto number = parseWholeNumber(word);
  if (!number || static_cast<std::uint64_t>(*number) > std::uint64_t{static_cast<T>(-1)}) return false;
  value = static_cast<T>(*number);
  return true;
}

}  // namespace

std::string toLine(const MpsRequest& request) {
  return "client " + request.uuid + " " + std::to_string(request.thread_percent) + " " +
         std::to_string(request.pinned_limit_bytes) + "\n";
}

std::string toLine(const MpsAnswer& answer) {
  if (answer.plain) return "plain\n";
  if (answer.status == Status::Ok) {
    return "ok " + std::to_string(answer.server_slot) + " " + std::to_string(answer.server_generation) + " " +
           std::to_string(answer.thread_percent) + " " + std::to_string(answer.pinned_limit_bytes) + "\n";
  }
  for (const auto& [code, status] : kCodes) {
    if (status == answer.status) return "error " + std::to_string(code) + "\n";
  }
  return "error 805\n";
}

std::optional<MpsRequest> parseMpsRequest(std::string_view line) {
  const auto words = split(trim(line), ' ');
  MpsRequest request;
  if (words.size() != 4 || words[0] != "client" || !takeNumber(words[2], request.thread_percent) ||
      !takeNumber(words[3], request.pinned_limit_bytes)) {
    return std::nullopt;
  }
  request.uuid = words[1];
  return request;
}

std::optional<MpsAnswer> parseMpsAnswer(std::string_view line) {
  const auto words = split(trim(line), ' ');
  MpsAnswer answer;
  if (words.size() == 1 && words[0] == "plain") {
    answer.plain = true;
    return answer;
  }
  if (words.size() == 2 && words[0] == "error") {
    answer.status = Status::MpsConnectionFailed;
    for (const auto& [code, status] : kCodes) {
      if (words[1] == std::to_string(code)) answer.status = status;
    }
    return answer;
  }
  if (words.size() != 5 || words[0] != "ok" || !takeNumber(words[1], answer.server_slot) ||
      !takeNumber(words[2], answer.server_generation) || !takeNumber(words[3], answer.thread_percent) ||
      !takeNumber(words[4], answer.pinned_limit_bytes)) {
    return std::nullopt;
  }
  return answer;
}

std::filesystem::path mpsPipeDirectory() {
  const char* named = std::getenv("CUDA_MPS_PIPE_DIRECTORY");
  return named != nullptr && *named != '\0' ? named : "/tmp/nvidia-mps";
}

int connectToMps(const std::filesystem::path& pipe_directory) {
  // A socket's name is short; a path under a directory's descriptor always fits.
  const int directory = ::open(pipe_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -errno;
  const std::string name = "/proc/self/fd/" + std::to_string(directory) + "/control";
  struct sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, name.c_str(), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int result = fd < 0 ? -errno : fd;
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const struct sockaddr*>(&address), sizeof address) != 0) {
    result = -errno;
    ::close(fd);
  }
  ::close(directory);
  return result;
}

std::string readLine(int fd) {
  std::string line;
  char letter = 0;
  while (line.size() < kMaxMpsLine) {
    const ssize_t got = ::read(fd, &letter, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return {};
    if (letter == '\n') return line;
    line += letter;
  }
  return {};
}

bool writeAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::optional<MpsAnswer> askMps(const std::filesystem::path& pipe_directory, const MpsRequest& request) {
  const int fd = connectToMps(pipe_directory);
  if (fd == -ENOENT || fd == -ECONNREFUSED || fd == -ENOTDIR) return std::nullopt;
  MpsAnswer failed;
  failed.status = Status::MpsConnectionFailed;
  if (fd < 0) return failed;
  std::optional<MpsAnswer> answer;
  if (writeAll(fd, toLine(request))) answer = parseMpsAnswer(readLine(fd));
  ::close(fd);
  return answer ? *answer : failed;
}

}  // namespace berth::sim
