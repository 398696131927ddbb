#include "tests/support.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/state_folder.h"

namespace berth::sim::testing {

Child::Child(const std::vector<std::string>& command) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) {
    ADD_FAILURE() << "no pipe";
    return;
  }
  std::vector<std::string> words = command;
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  to_ = in[1];
  from_ = out[0];
}

Child::~Child() {
  kill();
  ::close(from_);
}

void Child::say(const std::string& line) const {
  const std::string text = line + "\n";
  EXPECT_EQ(::write(to_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
}

std::string Child::hear(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::size_t end = 0;
  while ((end = unread_.find('\n')) == std::string::npos) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    struct pollfd readable{from_, POLLIN, 0};
    if (left.count() < 0 || ::poll(&readable, 1, static_cast<int>(left.count())) <= 0) return {};
    std::array<char, 256> buffer{};
    const ssize_t got = ::read(from_, buffer.data(), buffer.size());
    if (got <= 0) return {};
    unread_.append(buffer.data(), static_cast<std::size_t>(got));
  }
  std::string line = unread_.substr(0, end);
  unread_.erase(0, end + 1);
  return line;
}

std::string Child::ask(const std::string& line) {
  say(line);
  return hear();
}

Status Child::status(const std::string& line) {
  const std::string text = ask(line);
  EXPECT_FALSE(text.empty()) << line << ": no answer";
  return static_cast<Status>(std::atoi(text.c_str()));
}

void Child::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  end();
}

void Child::closeInput() {
  if (to_ >= 0) ::close(to_);
  to_ = -1;
}

int Child::end() {
  closeInput();
  int status = -1;
  if (pid_ > 0) ::waitpid(pid_, &status, 0);
  pid_ = 0;
  return status;
}

Box::Box(std::string_view gpus) {
  std::string name = (std::filesystem::temp_directory_path() / "berth-sim-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
  root_ = name;
  std::filesystem::permissions(root_, std::filesystem::perms(0755));
  folder_ = root_ / "gpus";
  ::setenv("BERTH_SIM_DIR", folder_.c_str(), 1);
  ::setenv("CUDA_MPS_PIPE_DIRECTORY", (root_ / "mps").c_str(), 1);
  ::setenv("CUDA_MPS_LOG_DIRECTORY", (root_ / "log").c_str(), 1);
  for (const char* variable : {"NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES",
                               "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"}) {
    ::unsetenv(variable);
  }
  EXPECT_EQ(berthSim({"create", std::string(gpus)}), 0);
}

Box::~Box() {
  std::error_code ignored;
  std::filesystem::remove_all(root_, ignored);
}

std::filesystem::path Box::stateFile(std::uint32_t index) const {
  for (const auto& gpu : openFolder(folder_)) {
    if (gpu->index() == index) return gpu->path();
  }
  return {};
}

int Box::berthSim(const std::vector<std::string>& words) const {
  std::vector<std::string> command{program("berth-sim"), words.front(), folder_.string()};
  command.insert(command.end(), words.begin() + 1, words.end());
  Child child(command);
  const int status = child.end();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::unique_ptr<Child> Box::client() const {
  return std::make_unique<Child>(std::vector<std::string>{SIM_CLIENT});
}

std::unique_ptr<Child> Box::openedClient() const {
  auto child = client();
  EXPECT_EQ(child->status("open"), Status::Ok);
  return child;
}

Nvml::Nvml() : handle_(::dlopen((driverRoot() / "lib/libnvidia-ml.so.1").c_str(), RTLD_NOW | RTLD_LOCAL)) {
  EXPECT_NE(handle_, nullptr) << ::dlerror();
  EXPECT_EQ(call("nvmlInit_v2"), NVML_SUCCESS);
}

Nvml::~Nvml() { call("nvmlShutdown"); }

void* Nvml::symbol(const char* name) const { return ::dlsym(handle_, name); }

unsigned int Nvml::count() const {
  unsigned int value = 0;
  EXPECT_EQ(call("nvmlDeviceGetCount_v2", &value), NVML_SUCCESS);
  return value;
}

nvmlDevice_t Nvml::device(unsigned int index) const {
  nvmlDevice_t found = nullptr;
  EXPECT_EQ(call("nvmlDeviceGetHandleByIndex_v2", index, &found), NVML_SUCCESS);
  return found;
}

std::uint64_t Nvml::usedMib(nvmlDevice_t device) const {
  nvmlMemory_t memory{};
  EXPECT_EQ(call("nvmlDeviceGetMemoryInfo", device, &memory), NVML_SUCCESS);
  return memory.used >> 20U;
}

std::map<pid_t, std::uint64_t> Nvml::processes(nvmlDevice_t device, bool mps_only) const {
  std::array<nvmlProcessInfo_v2_t, 128> infos{};
  unsigned int count = infos.size();
  EXPECT_EQ(call(mps_only ? "nvmlDeviceGetMPSComputeRunningProcesses_v3"
                          : "nvmlDeviceGetComputeRunningProcesses_v3",
                 device, &count, infos.data()),
            NVML_SUCCESS);
  std::map<pid_t, std::uint64_t> found;
  for (unsigned int i = 0; i < count; ++i) {
    found[static_cast<pid_t>(infos[i].pid)] = infos[i].usedGpuMemory >> 20U;
  }
  return found;
}

std::map<pid_t, unsigned int> Nvml::processLoad(nvmlDevice_t device) const {
  std::array<nvmlProcessUtilizationSample_t, 128> samples{};
  unsigned int count = samples.size();
  EXPECT_EQ(call("nvmlDeviceGetProcessUtilization", device, samples.data(), &count, 0ULL), NVML_SUCCESS);
  std::map<pid_t, unsigned int> found;
  for (unsigned int i = 0; i < count; ++i) found[static_cast<pid_t>(samples[i].pid)] = samples[i].smUtil;
  return found;
}

void Nvml::reinitialise() const {
  EXPECT_EQ(call("nvmlShutdown"), NVML_SUCCESS);
  EXPECT_EQ(call("nvmlInit_v2"), NVML_SUCCESS);
}

std::filesystem::path driverRoot() { return SIM_ROOT; }

std::string program(const std::string& name) { return (driverRoot() / "bin" / name).string(); }

}  // namespace berth::sim::testing
