#include "gpu/nvml/deadline_executor.h"

#include <algorithm>

namespace berth::gpu {

DeadlineExecutor::DeadlineExecutor(std::string what) : what_(std::move(what)), thread_([this] { loop(); }) {}

DeadlineExecutor::~DeadlineExecutor() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Result<void> DeadlineExecutor::runTask(const std::shared_ptr<Task>& task, std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  if (overdue_) {
    return fail(ErrorCode::Unavailable, what_ + " has not returned from an earlier call");
  }
  waiting_.push_back(task);
  changed_.notify_all();
  if (changed_.wait_for(lock, limit, [&] { return task->done; })) return {};
  return giveUp(task);
}

Result<void> DeadlineExecutor::giveUp(const std::shared_ptr<Task>& task) {
  if (running_ == task) overdue_ = true;
  std::erase(waiting_, task);
  return fail(ErrorCode::Unavailable, what_ + " did not answer in time");
}

void DeadlineExecutor::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    running_ = waiting_.front();
    waiting_.pop_front();
    lock.unlock();
    running_->work();
    lock.lock();
    running_->done = true;
    running_.reset();
    overdue_ = false;
    changed_.notify_all();
  }
}

}  // namespace berth::gpu
