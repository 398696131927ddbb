// What the built programs take on two simulated GPUs (design 12): berthd from its start to READY=1 (under 200
// ms), `berth status` from its start to its end (under 20 ms; the reference is a program that does nothing),
// and the memory that the daemon then has resident (under 50 MiB).
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/error.h"
#include "base/text.h"
#include "os/files.h"
#include "os/process.h"
#include "os/unique_fd.h"

namespace {

using namespace berth;
using std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr std::chrono::seconds kLimit{30};
constexpr int kStarts = 10;
constexpr int kCalls = 50;

steady_clock::time_point deadline() { return steady_clock::now() + kLimit; }

fs::path program(std::string_view name) {
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin" / name;
}

class TempDir {
 public:
  TempDir() {
    std::string pattern = (fs::temp_directory_path() / "berth-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// Where berthd says that it is ready, as it does to systemd.
class NotifySocket {
 public:
  explicit NotifySocket(const fs::path& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    const timeval limit{kLimit.count(), 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): how bind() wants it
    if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::abort();
  }
  bool waitReady() {
    char text[256];
    const ssize_t got = ::recv(fd_.get(), text, sizeof text, 0);
    return got > 0 && std::string_view(text, static_cast<std::size_t>(got)).starts_with("READY=1");
  }

 private:
  os::UniqueFd fd_;
};

/// A daemon on two simulated T4s, from ready to the end of its process.
class Daemon {
 public:
  Daemon() : notify_(dir_.path() / "notify") {
    os::ProcessSpec spec;
    spec.argv = {program("berthd").string(),
                 "--simulate",
                 "t4:2",
                 "--state-dir",
                 state().string(),
                 "--engine-socket",
                 (dir_.path() / "no-engine").string()};
    spec.env = {{"NOTIFY_SOCKET", (dir_.path() / "notify").string()}};
    const auto begin = steady_clock::now();
    auto process = runner_.spawn(spec, dir_.path() / "log");
    if (process) process_ = *std::move(process);
    ready_ = process_ != nullptr && notify_.waitReady();
    took_ = steady_clock::now() - begin;
  }
  ~Daemon() {
    if (process_ == nullptr) return;
    static_cast<void>(process_->signal(SIGTERM));
    if (!process_->waitExit(deadline())) static_cast<void>(process_->signal(SIGKILL));
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  bool ready() const { return ready_; }
  std::chrono::duration<double> took() const { return took_; }
  std::string socket() const { return (state() / "run" / "berth.sock").string(); }
  double residentBytes() const {
    const auto status = os::readFile("/proc/" + std::to_string(process_->id().pid) + "/status", 1 << 16);
    constexpr std::string_view kLabel = "VmRSS:";
    const std::size_t at = status ? status->find(kLabel) : std::string::npos;
    return at == std::string::npos ? 0 : std::strtod(status->c_str() + at + kLabel.size(), nullptr) * 1024;
  }

 private:
  fs::path state() const { return dir_.path() / "state"; }

  TempDir dir_;
  NotifySocket notify_;
  os::PosixProcessRunner runner_;
  std::unique_ptr<os::Process> process_;
  bool ready_ = false;
  std::chrono::duration<double> took_{};
};

// One start a repetition, so that each has its own time.
void DaemonReady(benchmark::State& run) {
  for (auto step : run) {
    const Daemon daemon;
    if (!daemon.ready()) run.SkipWithError("berthd does not become ready");
    run.SetIterationTime(daemon.took().count());
  }
}
BENCHMARK(DaemonReady)->Iterations(1)->Repetitions(kStarts)->UseManualTime();

void runToEnd(benchmark::State& run, const os::ProcessSpec& spec) {
  os::PosixProcessRunner runner;
  for (auto step : run) {
    const auto ended = runner.run(spec, deadline());
    if (!ended || !ended->status.success()) run.SkipWithError("the program failed");
  }
}

/// The one that all repetitions ask.
const Daemon& runningDaemon() {
  static const Daemon daemon;
  return daemon;
}

void BerthStatus(benchmark::State& run) {
  const Daemon& daemon = runningDaemon();
  if (!daemon.ready()) return run.SkipWithError("berthd does not become ready");
  os::ProcessSpec spec;
  spec.argv = {program("berth").string(), "--socket", daemon.socket(), "status"};
  runToEnd(run, spec);
  run.counters["resident"] = daemon.residentBytes();
}
BENCHMARK(BerthStatus)->Iterations(1)->Repetitions(kCalls)->UseRealTime();

void StartNothing(benchmark::State& run) {
  os::ProcessSpec spec;
  spec.argv = {"/bin/true"};
  runToEnd(run, spec);
}
BENCHMARK(StartNothing)->Iterations(1)->Repetitions(kCalls)->UseRealTime();

}  // namespace
