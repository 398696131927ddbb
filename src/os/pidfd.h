// Watching processes that need not be our children: a pidfd (pidfd_open(2)) keeps naming one process even
// when its pid is used again, and becomes readable when that process ends.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/guarded.h"
#include "os/procfs.h"
#include "os/unique_fd.h"

namespace berth::os {

/// One process, held on to. Safe from several threads.
class PidFd {
 public:
  /// Whatever process has `pid` now. NotFound: none has.
  static Result<PidFd> open(std::int64_t pid);
  /// The process that had `pid` when it started at `id.start_ticks`. NotFound: it ended, and perhaps another
  /// process has its pid now.
  static Result<PidFd> open(const ProcessId& id);
  /// A child of this process that nobody has reaped yet, ended or not: its pid cannot change hands.
  static Result<PidFd> openChild(std::int64_t pid);

  const ProcessId& id() const { return id_; }
  int get() const { return fd_.get(); }
  /// True when the process has ended (a zombie has).
  bool exited() const;
  /// Blocks until it has ended; false: the deadline came first.
  bool waitExit(std::chrono::steady_clock::time_point deadline) const;
  /// NotFound: it has ended and was reaped.
  Result<void> signal(int number) const;

 private:
  PidFd(UniqueFd fd, const ProcessId& id) : fd_(std::move(fd)), id_(id) {}

  UniqueFd fd_;
  ProcessId id_;
};

/// Calls back when a watched process ends. One thread of its own ("watcher") runs every callback, so a
/// callback only posts elsewhere. All functions are safe from every thread.
class ProcessWatcher {
 public:
  static Result<std::unique_ptr<ProcessWatcher>> create();
  ProcessWatcher(const ProcessWatcher&) = delete;
  ProcessWatcher& operator=(const ProcessWatcher&) = delete;
  /// Joins the thread; no callback runs after it.
  ~ProcessWatcher();

  /// Calls `on_exit` once, when the process ends, unless unwatch comes first. NotFound: it has ended
  /// already, and nothing will be called. Conflict: it is watched.
  Result<void> watch(const ProcessId& id, std::function<void(const ProcessId&)> on_exit);
  /// Forgets the process. After it returns the callback does not run and is not running, except when it is
  /// the callback itself that calls this.
  void unwatch(const ProcessId& id);

 private:
  struct Watch {
    std::int64_t key = 0;
    PidFd process;
    std::function<void(const ProcessId&)> on_exit;
  };
  struct Watches {
    std::int64_t next_key = 1;
    std::map<ProcessId, Watch> by_process;
  };

  ProcessWatcher(UniqueFd epoll, UniqueFd stop) : epoll_(std::move(epoll)), stop_(std::move(stop)) {}
  void loop();
  void announce(std::int64_t key);

  UniqueFd epoll_;
  UniqueFd stop_;
  Guarded<Watches> watches_;
  std::mutex calling_;  // Held while a callback runs: what unwatch waits for.
  std::thread thread_;
};

}  // namespace berth::os
