#include "mps/log_file.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace berth::sim::mps {

std::filesystem::path logDirectory() {
  const char* named = std::getenv("CUDA_MPS_LOG_DIRECTORY");
  return named != nullptr && *named != '\0' ? named : "/var/log/nvidia-mps";
}

LogFile::LogFile(const std::filesystem::path& directory, std::string_view name, std::string who)
    : fd_(::open((directory / name).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)),
      who_(std::move(who)) {}

LogFile::~LogFile() {
  if (fd_ >= 0) ::close(fd_);
}

void LogFile::line(std::string_view text) {
  if (fd_ < 0) return;
  struct timespec now{};
  struct tm local{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  ::localtime_r(&now.tv_sec, &local);
  std::array<char, 64> stamp{};
  std::strftime(stamp.data(), stamp.size(), "%Y-%m-%d %H:%M:%S", &local);
  std::array<char, 128> head{};
  std::snprintf(head.data(), head.size(), "[%s.%03ld %s %5d] ", stamp.data(), now.tv_nsec / 1'000'000,
                who_.c_str(), static_cast<int>(::getpid()));
  const std::string whole = head.data() + std::string(text) + "\n";
  if (::write(fd_, whole.data(), whole.size()) < 0) return;  // A full disk: MPS goes on.
}

}  // namespace berth::sim::mps
