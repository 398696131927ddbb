// control.log and server.log: lines with time, who and pid, as NVIDIA's programs write them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace berth::sim::mps {

/// CUDA_MPS_LOG_DIRECTORY, else /var/log/nvidia-mps.
std::filesystem::path logDirectory();

class LogFile {
 public:
  /// Appends to `directory`/`name`; without the right to do so, lines are lost, and MPS works all the same.
  LogFile(const std::filesystem::path& directory, std::string_view name, std::string who);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  void line(std::string_view text);

 private:
  int fd_;
  std::string who_;
};

}  // namespace berth::sim::mps
