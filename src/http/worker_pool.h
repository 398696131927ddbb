// Threads for work that blocks. They are started when first needed, so an idle daemon has none.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace berth::http {

/// At most `max_threads` threads and `max_queued` waiting jobs. Safe from every thread but the pool's own,
/// which may not destroy it.
class WorkerPool {
 public:
  /// `name` (at most 12 characters) is what the threads are called in ps and gdb.
  WorkerPool(std::string name, std::size_t max_threads, std::size_t max_queued);
  /// Runs what is queued and joins.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// False when every thread is busy and the queue is full; `job` is dropped then. `job` must not throw.
  bool submit(std::function<void()> job);

 private:
  void work();

  const std::string name_;
  const std::size_t max_threads_;
  const std::size_t max_queued_;
  std::mutex mutex_;  // Guards what follows; a condition variable needs it in the open.
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::size_t idle_ = 0;
  bool closing_ = false;
  std::vector<std::jthread> threads_;
};

}  // namespace berth::http
