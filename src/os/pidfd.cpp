#include "os/pidfd.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth::os {
namespace {

constexpr std::int64_t kStopKey = 0;

bool pollReadable(int fd, int timeout_ms) {
  pollfd entry{fd, POLLIN, 0};
  return ::poll(&entry, 1, timeout_ms) == 1;
}

int millisecondsUntil(std::chrono::steady_clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, std::numeric_limits<int>::max()));
}

Result<UniqueFd> openPidFd(std::int64_t pid) {
  // glibc 2.36 declares pidfd_open, older ones do not: the system call itself needs only the kernel.
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
  if (fd.valid()) return fd;
  if (errno == ESRCH) return fail(ErrorCode::NotFound, "no process has pid " + std::to_string(pid));
  return fail(errnoError(errno, "pidfd_open", std::to_string(pid)));
}

Result<void> addToEpoll(int epoll, int fd, std::int64_t key) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<std::uint64_t>(key);
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return fail(errnoError(errno, "epoll_ctl", ""));
}

}  // namespace

Result<PidFd> PidFd::openChild(std::int64_t pid) {
  TRY(UniqueFd fd, openPidFd(pid));
  TRY(const ProcessStat stat, Procfs().stat(pid));
  return PidFd(std::move(fd), stat.id);
}

Result<PidFd> PidFd::open(std::int64_t pid) {
  TRY(UniqueFd fd, openPidFd(pid));
  TRY(const ProcessStat stat, Procfs().stat(pid));
  PidFd process(std::move(fd), stat.id);
  // The pid may have changed hands between the two calls, but not while the process we hold is alive.
  if (process.exited() && stat.state != 'Z') {
    return fail(ErrorCode::NotFound, "process " + std::to_string(pid) + " has ended");
  }
  return process;
}

Result<PidFd> PidFd::open(const ProcessId& id) {
  TRY(PidFd process, open(id.pid));
  if (process.id() == id) return process;
  return fail(ErrorCode::NotFound, "pid " + std::to_string(id.pid) + " belongs to another process now");
}

bool PidFd::exited() const { return pollReadable(fd_.get(), 0); }

bool PidFd::waitExit(std::chrono::steady_clock::time_point deadline) const {
  for (;;) {
    if (pollReadable(fd_.get(), millisecondsUntil(deadline))) return true;
    if (std::chrono::steady_clock::now() >= deadline) return false;
  }
}

Result<void> PidFd::signal(int number) const {
  if (::syscall(SYS_pidfd_send_signal, fd_.get(), number, nullptr, 0) == 0) return {};
  if (errno == ESRCH) {
    return fail(ErrorCode::NotFound, "process " + std::to_string(id_.pid) + " has ended");
  }
  return fail(errnoError(errno, "pidfd_send_signal", std::to_string(id_.pid)));
}

Result<std::unique_ptr<ProcessWatcher>> ProcessWatcher::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return fail(errnoError(errno, "epoll_create1", ""));
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) return fail(errnoError(errno, "eventfd", ""));
  TRY_VOID(addToEpoll(epoll.get(), stop.get(), kStopKey));
  std::unique_ptr<ProcessWatcher> watcher(new ProcessWatcher(std::move(epoll), std::move(stop)));
  watcher->thread_ = std::thread([self = watcher.get()] { self->loop(); });
  return watcher;
}

ProcessWatcher::~ProcessWatcher() {
  // A write of one to an event counter that is never read cannot fail.
  static_cast<void>(::eventfd_write(stop_.get(), 1));
  if (thread_.joinable()) thread_.join();
}

Result<void> ProcessWatcher::watch(const ProcessId& id, std::function<void(const ProcessId&)> on_exit) {
  TRY(PidFd process, PidFd::open(id));
  if (process.exited()) {
    return fail(ErrorCode::NotFound, "process " + std::to_string(id.pid) + " has ended");
  }
  return watches_.with([&](Watches& watches) -> Result<void> {
    if (watches.by_process.contains(id)) {
      return fail(ErrorCode::Conflict, "process " + std::to_string(id.pid) + " is watched already");
    }
    const std::int64_t key = watches.next_key++;
    TRY_VOID(addToEpoll(epoll_.get(), process.get(), key));
    watches.by_process.emplace(id, Watch{key, std::move(process), std::move(on_exit)});
    return {};
  });
}

void ProcessWatcher::unwatch(const ProcessId& id) {
  watches_.with([&](Watches& watches) { watches.by_process.erase(id); });
  if (std::this_thread::get_id() == thread_.get_id()) return;
  const std::scoped_lock wait_for_callback(calling_);
}

void ProcessWatcher::loop() {
  std::array<epoll_event, 16> events{};
  for (;;) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const auto key = static_cast<std::int64_t>(events.at(static_cast<std::size_t>(i)).data.u64);
      if (key == kStopKey) return;
      announce(key);
    }
  }
}

void ProcessWatcher::announce(std::int64_t key) {
  const std::scoped_lock calling(calling_);
  // Closing the pidfd with the Watch also takes it out of the epoll set.
  std::optional<Watch> ended = watches_.with([key](Watches& watches) -> std::optional<Watch> {
    const auto found = std::ranges::find_if(watches.by_process,
                                            [key](const auto& entry) { return entry.second.key == key; });
    if (found == watches.by_process.end()) return std::nullopt;
    std::optional<Watch> watch(std::move(found->second));
    watches.by_process.erase(found);
    return watch;
  });
  if (ended) ended->on_exit(ended->process.id());
}

}  // namespace berth::os
