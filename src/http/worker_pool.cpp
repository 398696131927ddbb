#include "http/worker_pool.h"

#include <utility>

#include <pthread.h>

namespace berth::http {

WorkerPool::WorkerPool(std::string name, std::size_t max_threads, std::size_t max_queued)
    : name_(std::move(name)), max_threads_(max_threads), max_queued_(max_queued) {}

WorkerPool::~WorkerPool() {
  {
    const std::scoped_lock lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  threads_.clear();
}

bool WorkerPool::submit(std::function<void()> job) {
  const std::scoped_lock lock(mutex_);
  const std::size_t startable = max_threads_ - threads_.size();
  if (closing_ || jobs_.size() >= idle_ + startable + max_queued_) return false;
  jobs_.push_back(std::move(job));
  if (jobs_.size() > idle_ && startable > 0) {
    threads_.emplace_back([this] { work(); });
    ++idle_;  // It will be: this keeps the next submit from counting on a thread that is spoken for.
  }
  changed_.notify_one();
  return true;
}

void WorkerPool::work() {
  pthread_setname_np(pthread_self(), name_.c_str());
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closing_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    --idle_;
    lock.unlock();
    job();
    job = nullptr;  // What it captured dies outside of the lock.
    lock.lock();
    ++idle_;
  }
}

}  // namespace berth::http
