#include "os/process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <optional>
#include <span>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/unique_fd.h"

namespace berth::os {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

constexpr std::chrono::milliseconds kDeathTime{500};  // What SIGKILL gets before we stop waiting.
constexpr mode_t kLogMode = 0640;
constexpr int kFirstInheritedFd = 3;

int millisecondsUntil(TimePoint deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

std::vector<std::string> ownEnvironment() {
  std::vector<std::string> entries;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) entries.emplace_back(*entry);
  return entries;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> makePipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail(errnoError(errno, "pipe2", ""));
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<void> makeNonBlocking(const UniqueFd& fd) {
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0) return {};
  return fail(errnoError(errno, "fcntl", "O_NONBLOCK"));
}

/// The C objects posix_spawn takes.
class SpawnSetup {
 public:
  SpawnSetup() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  /// False: out of memory, the only way these calls fail.
  bool prepare(const std::array<int, 3>& stdio, const std::filesystem::path& directory) {
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    int error = 0;
    for (int target = 0; target < static_cast<int>(stdio.size()); ++target) {
      error |=
          ::posix_spawn_file_actions_adddup2(&actions_, stdio.at(static_cast<std::size_t>(target)), target);
    }
    error |= ::posix_spawn_file_actions_addclosefrom_np(&actions_, kFirstInheritedFd);
    if (!directory.empty()) {
      error |= ::posix_spawn_file_actions_addchdir_np(&actions_, directory.c_str());
    }
    error |= ::posix_spawnattr_setsigmask(&attributes_, &none);
    error |= ::posix_spawnattr_setsigdefault(&attributes_, &all);
    error |= ::posix_spawnattr_setflags(&attributes_,
                                        POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return error == 0;
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

Result<pid_t> start(const ProcessSpec& spec, const std::array<int, 3>& stdio) {
  if (spec.argv.empty()) return fail(ErrorCode::InvalidArgument, "a program to start needs a name");
  std::vector<std::string> arguments = spec.argv;
  std::vector<std::string> environment = mergeEnvironment(ownEnvironment(), spec.unset_env, spec.env);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);
  SpawnSetup setup;
  if (!setup.prepare(stdio, spec.working_directory)) return fail(errnoError(ENOMEM, "posix_spawn", ""));
  pid_t pid = 0;
  const int error =
      ::posix_spawnp(&pid, argv.front(), setup.actions(), setup.attributes(), argv.data(), envp.data());
  if (error != 0) return fail(errnoError(error, "start", spec.argv.front()));
  return pid;
}

ExitStatus statusOf(int wait_status) {
  if (WIFSIGNALED(wait_status)) return {0, WTERMSIG(wait_status)};
  return {WEXITSTATUS(wait_status), 0};
}

/// nullopt: not ended yet.
std::optional<ExitStatus> reap(pid_t pid) {
  int wait_status = 0;
  const pid_t reaped = ::waitpid(pid, &wait_status, WNOHANG);
  if (reaped == pid) return statusOf(wait_status);
  // Someone else reaped it, which only an ignored SIGCHLD does: the status is lost, the end is not.
  if (reaped < 0 && errno == ECHILD) return ExitStatus{};
  return std::nullopt;
}

/// Feeds a child's stdin and collects its two outputs without ever blocking on one of them.
class Conversation {
 public:
  Conversation(const ProcessSpec& spec, UniqueFd in, UniqueFd out, UniqueFd err)
      : input_(spec.input),
        limit_(spec.output_limit),
        in_(std::move(in)),
        out_(std::move(out)),
        err_(std::move(err)) {}

  /// Until the process has ended and its outputs are drained; false: the deadline came first.
  bool run(const PidFd& process, TimePoint deadline) {
    for (;;) {
      const bool ended = process.exited();
      exchange(ended ? 0 : millisecondsUntil(deadline), process.get());
      if (ended) return true;
      if (std::chrono::steady_clock::now() >= deadline) return false;
    }
  }

  ProcessResult take(const ExitStatus& status) {
    return {status, std::move(output_), std::move(errors_), truncated_};
  }

 private:
  void exchange(int timeout_ms, int process_fd) {
    // poll ignores a descriptor of -1.
    std::array<pollfd, 4> entries{pollfd{input_.empty() ? -1 : in_.get(), POLLOUT, 0},
                                  pollfd{out_.get(), POLLIN, 0}, pollfd{err_.get(), POLLIN, 0},
                                  pollfd{process_fd, POLLIN, 0}};
    if (input_.empty()) in_.reset();
    if (::poll(entries.data(), entries.size(), timeout_ms) <= 0) return;
    if (entries[0].revents != 0) feed();
    if (entries[1].revents != 0) drain(out_, output_);
    if (entries[2].revents != 0) drain(err_, errors_);
  }

  void feed() {
    const ssize_t wrote = ::write(in_.get(), input_.data(), input_.size());
    if (wrote < 0 && (errno == EAGAIN || errno == EINTR)) return;
    // EPIPE: the program does not want the rest, which is its own affair.
    if (wrote < 0) input_ = {};
    if (wrote > 0) input_.remove_prefix(static_cast<std::size_t>(wrote));
  }

  void drain(UniqueFd& fd, std::string& into) {
    std::array<char, 16384> chunk{};
    for (;;) {
      const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return fd.reset();
      keep(into, std::string_view(chunk.data(), static_cast<std::size_t>(got)));
      if (static_cast<std::size_t>(got) < chunk.size()) return;
    }
  }

  void keep(std::string& into, std::string_view bytes) {
    const std::size_t room = limit_ - std::min(limit_, into.size());
    truncated_ = truncated_ || bytes.size() > room;
    into.append(bytes.substr(0, room));
  }

  std::string_view input_;
  std::size_t limit_;
  UniqueFd in_;
  UniqueFd out_;
  UniqueFd err_;
  std::string output_;
  std::string errors_;
  bool truncated_ = false;
};

struct Child {
  pid_t pid = 0;
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
};

Result<Child> startWithPipes(const ProcessSpec& spec) {
  TRY(Pipe in, makePipe());
  TRY(Pipe out, makePipe());
  TRY(Pipe err, makePipe());
  TRY_VOID(makeNonBlocking(in.write));
  TRY_VOID(makeNonBlocking(out.read));
  TRY_VOID(makeNonBlocking(err.read));
  TRY(const pid_t pid, start(spec, {in.read.get(), out.write.get(), err.write.get()}));
  return Child{pid, std::move(in.write), std::move(out.read), std::move(err.read)};
}

/// A process under supervision, child or not.
class PosixProcess final : public Process {
 public:
  PosixProcess(PidFd process, bool is_child) : process_(std::move(process)), is_child_(is_child) {}

  const ProcessId& id() const override { return process_.id(); }

  bool exited() override {
    if (!process_.exited()) return false;
    if (is_child_) static_cast<void>(reap(static_cast<pid_t>(id().pid)));
    is_child_ = false;
    return true;
  }

  Result<void> waitExit(TimePoint deadline) override {
    process_.waitExit(deadline);
    if (exited()) return {};
    return fail(ErrorCode::Timeout, "process " + std::to_string(id().pid) + " has not ended in time");
  }

  Result<void> signal(int number) override {
    if (process_.exited()) return {};
    // The pid is not reused while the process we hold is alive or unreaped, so its group is its own.
    const auto pid = static_cast<pid_t>(id().pid);
    if (::getpgid(pid) == pid && ::kill(-pid, number) == 0) return {};
    Result<void> sent = process_.signal(number);
    if (!sent && sent.error().code == ErrorCode::NotFound) return {};
    return sent;
  }

 private:
  PidFd process_;
  bool is_child_;
};

/// Makes sure that SIGPIPE from a child that does not read its stdin reaches nobody.
class PipeSignalBlock {
 public:
  PipeSignalBlock() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  PipeSignalBlock(const PipeSignalBlock&) = delete;
  PipeSignalBlock& operator=(const PipeSignalBlock&) = delete;
  ~PipeSignalBlock() {
    const timespec now{};
    if (::sigismember(&before_, SIGPIPE) == 0) {
      while (::sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
      }
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_{};
  sigset_t before_{};
};

}  // namespace

std::string describe(const ExitStatus& status) {
  if (status.signal != 0) return "was killed by signal " + std::to_string(status.signal);
  return "exited with status " + std::to_string(status.code);
}

std::vector<std::string> mergeEnvironment(const std::vector<std::string>& base,
                                          const std::vector<std::string>& unset,
                                          const std::vector<std::pair<std::string, std::string>>& set) {
  const auto replaced = [&](std::string_view entry) {
    const std::string_view name = entry.substr(0, entry.find('='));
    return std::ranges::find(unset, name) != unset.end() ||
           std::ranges::any_of(set, [name](const auto& pair) { return pair.first == name; });
  };
  std::vector<std::string> merged;
  std::ranges::copy_if(base, std::back_inserter(merged),
                       [&](const std::string& entry) { return !replaced(entry); });
  for (const auto& [name, value] : set) merged.push_back(name + "=" + value);
  return merged;
}

Result<ProcessResult> PosixProcessRunner::run(const ProcessSpec& spec, TimePoint deadline) {
  reapLeftOver();
  const PipeSignalBlock no_sigpipe;
  TRY(Child child, startWithPipes(spec));
  // An unreaped child keeps its pid, so this can only fail for want of descriptors.
  Result<PidFd> process = PidFd::openChild(child.pid);
  Conversation conversation(spec, std::move(child.in), std::move(child.out), std::move(child.err));
  const bool ended = process && conversation.run(*process, deadline);
  if (!ended) ::kill(-child.pid, SIGKILL);
  if (process) process->waitExit(std::chrono::steady_clock::now() + kDeathTime);
  const std::optional<ExitStatus> status = reap(child.pid);
  if (!status) left_over_.with([&](std::vector<pid_t>& pids) { pids.push_back(child.pid); });
  if (!process) return fail(std::move(process).error());
  if (!ended || !status) {
    return fail(ErrorCode::Timeout, spec.argv.front() + " did not finish in time and was killed");
  }
  return conversation.take(*status);
}

Result<std::unique_ptr<Process>> PosixProcessRunner::spawn(const ProcessSpec& spec,
                                                           const std::filesystem::path& log_file) {
  reapLeftOver();
  if (!spec.input.empty()) {
    return fail(ErrorCode::InvalidArgument, "a long-lived program gets no input");
  }
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null.valid()) return fail(errnoError(errno, "open", "/dev/null"));
  const UniqueFd log(::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kLogMode));
  if (!log.valid()) return fail(errnoError(errno, "open", log_file.string()));
  TRY(const pid_t pid, start(spec, {null.get(), log.get(), log.get()}));
  Result<PidFd> process = PidFd::openChild(pid);
  if (!process) {
    ::kill(-pid, SIGKILL);
    left_over_.with([&](std::vector<pid_t>& pids) { pids.push_back(pid); });
    return fail(std::move(process).error());
  }
  return std::make_unique<PosixProcess>(*std::move(process), true);
}

Result<std::unique_ptr<Process>> PosixProcessRunner::adopt(const ProcessId& id) {
  TRY(PidFd process, PidFd::open(id));
  if (process.exited()) {
    return fail(ErrorCode::NotFound, "process " + std::to_string(id.pid) + " has ended");
  }
  return std::make_unique<PosixProcess>(std::move(process), false);
}

void PosixProcessRunner::reapLeftOver() {
  left_over_.with(
      [](std::vector<pid_t>& pids) { std::erase_if(pids, [](pid_t pid) { return reap(pid).has_value(); }); });
}

}  // namespace berth::os
