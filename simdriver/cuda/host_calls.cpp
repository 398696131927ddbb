// Host functions: queued with the work they follow, run by one thread of the context.
#include <algorithm>

#include "objects.h"

namespace berth::sim::cu {

HostCalls::~HostCalls() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  changed_.notify_all();
}

void HostCalls::queue(HostCall call) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(call));
  waiting_.fetch_add(1);
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  changed_.notify_all();
}

bool HostCalls::idle(std::uint32_t stream) {
  if (waiting_.load() == 0) return true;
  const std::lock_guard lock(mutex_);
  return std::none_of(queue_.begin(), queue_.end(),
                      [&](const HostCall& call) { return call.after.stream == stream; });
}

void HostCalls::drain(std::uint32_t stream) {
  if (waiting_.load() == 0 || onOwnThread()) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return std::none_of(queue_.begin(), queue_.end(),
                        [&](const HostCall& call) { return call.after.stream == stream; });
  });
}

void HostCalls::drainAll() {
  if (waiting_.load() == 0 || onOwnThread()) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queue_.empty(); });
}

bool HostCalls::onOwnThread() const {
  return waiting_.load() != 0 && thread_.get_id() == std::this_thread::get_id();
}

void HostCalls::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return !queue_.empty(); })) {
    // The call stays in the queue while it runs, so that drain() waits for its end.
    const HostCall call = queue_.front();
    lock.unlock();
    if (session_.wait(call.after) == Status::Ok) call.function();
    lock.lock();
    queue_.erase(queue_.begin());
    waiting_.fetch_sub(1);
    changed_.notify_all();
  }
}

}  // namespace berth::sim::cu
