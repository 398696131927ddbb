// What the simulated driver's integration tests share: a folder of GPUs of its own, real processes that use
// them, and libnvidia-ml.so.1 as a program loads it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "engine/session.h"
#include "nvml/nvml_abi.h"

namespace berth::sim::testing {

/// A child process with pipes to its stdin and stdout; killed when this goes.
class Child {
 public:
  explicit Child(const std::vector<std::string>& command);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void say(const std::string& line) const;
  /// The next line; empty when the process ended or says nothing within `patience`.
  std::string hear(std::chrono::milliseconds patience = std::chrono::seconds(20));
  std::string ask(const std::string& line);
  /// ask() for a command that is answered with a status.
  Status status(const std::string& line);
  /// kill -9, and waits for the end.
  void kill();
  void closeInput();
  /// Closes its stdin and waits for the end: the exit status.
  int end();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  int to_ = -1;
  int from_ = -1;
  std::string unread_;
};

/// A temporary folder with GPUs, named by BERTH_SIM_DIR for this process and its children; no MPS.
class Box {
 public:
  explicit Box(std::string_view gpus = "t4:1");
  ~Box();
  Box(const Box&) = delete;
  Box& operator=(const Box&) = delete;

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path stateFile(std::uint32_t index = 0) const;
  /// berth-sim's exit status for `words`, with the folder put behind the first.
  int berthSim(const std::vector<std::string>& words) const;
  std::unique_ptr<Child> client() const;
  /// A client that has opened its context.
  std::unique_ptr<Child> openedClient() const;

 private:
  std::filesystem::path root_;
  std::filesystem::path folder_;
};

/// libnvidia-ml.so.1, initialised.
class Nvml {
 public:
  Nvml();
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  template <typename... Args>
  nvmlReturn_t call(const char* name, Args... args) const {
    return reinterpret_cast<nvmlReturn_t (*)(Args...)>(symbol(name))(args...);
  }
  void* symbol(const char* name) const;

  unsigned int count() const;
  nvmlDevice_t device(unsigned int index = 0) const;
  /// Used memory in MiB.
  std::uint64_t usedMib(nvmlDevice_t device) const;
  /// Memory in MiB by pid.
  std::map<pid_t, std::uint64_t> processes(nvmlDevice_t device, bool mps_only = false) const;
  /// Share of the SMs in percent by pid, as nvmlDeviceGetProcessUtilization tells it.
  std::map<pid_t, unsigned int> processLoad(nvmlDevice_t device) const;
  void reinitialise() const;

 private:
  void* handle_;
};

/// The simulated driver root of this build, and a program in its bin.
std::filesystem::path driverRoot();
std::string program(const std::string& name);

}  // namespace berth::sim::testing
