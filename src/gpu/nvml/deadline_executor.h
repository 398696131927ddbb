// Calls into a library that may hang, made by one thread that may hang with it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/error.h"

namespace berth::gpu {

/// Runs functions one after the other on one thread of its own and waits for each up to a limit. While a
/// function overstays its limit, further calls fail at once: neither threads nor callers pile up behind it.
/// When it returns after all, calls go through again. Safe from every thread but its own.
class DeadlineExecutor {
 public:
  /// `what` names the other side in errors: "the NVIDIA driver".
  explicit DeadlineExecutor(std::string what);
  DeadlineExecutor(const DeadlineExecutor&) = delete;
  DeadlineExecutor& operator=(const DeadlineExecutor&) = delete;
  /// Waits for the function that runs now, however long that takes.
  ~DeadlineExecutor();

  /// What `fn` returned. Unavailable: it, or the one before it, did not return within `limit`; a `fn` that
  /// had not begun then never will. `fn` may outlive this call, so it owns what it uses.
  template <typename T>
  Result<T> call(std::chrono::milliseconds limit, std::function<Result<T>()> fn) {
    auto result = std::make_shared<std::optional<Result<T>>>();
    auto task = std::make_shared<Task>();
    task->work = [result, fn = std::move(fn)] { result->emplace(fn()); };
    TRY_VOID(runTask(task, limit));
    return **std::move(result);
  }

 private:
  struct Task {
    std::function<void()> work;
    bool done = false;
  };

  Result<void> runTask(const std::shared_ptr<Task>& task, std::chrono::milliseconds limit);
  Result<void> giveUp(const std::shared_ptr<Task>& task);
  void loop();

  std::string what_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Task>> waiting_;
  std::shared_ptr<Task> running_;
  bool overdue_ = false;  // running_ passed its limit.
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace berth::gpu
