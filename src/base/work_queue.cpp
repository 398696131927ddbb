#include "base/work_queue.h"

#include <algorithm>
#include <utility>

namespace berth {

WorkQueue::WorkQueue(int workers, Work work) : work_(std::move(work)) {
  for (int i = 0; i < workers; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
  }
}

WorkQueue::~WorkQueue() { stop(); }

void WorkQueue::add(const std::string& key) { addAt(key, Time::min()); }

void WorkQueue::addAt(const std::string& key, Time due) {
  {
    const std::scoped_lock lock(mutex_);
    const auto [entry, inserted] = waiting_.try_emplace(key, due);
    if (!inserted) entry->second = std::min(entry->second, due);
  }
  wake_.notify_all();
}

void WorkQueue::stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();  // Joins.
}

bool WorkQueue::takeDue(std::string& key) {
  const Time now = std::chrono::steady_clock::now();
  const auto due = std::ranges::find_if(
      waiting_, [&](const auto& entry) { return entry.second <= now && !busy_.contains(entry.first); });
  if (due == waiting_.end()) return false;
  key = due->first;
  waiting_.erase(due);
  busy_.insert(key);
  return true;
}

WorkQueue::Time WorkQueue::nextDue() const {
  Time next = Time::max();
  for (const auto& [key, due] : waiting_) {
    if (!busy_.contains(key)) next = std::min(next, due);
  }
  return next;
}

void WorkQueue::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    std::string key;
    if (takeDue(key)) {
      lock.unlock();
      work_(key);
      lock.lock();
      busy_.erase(key);
      wake_.notify_all();  // The key may have been added again meanwhile.
      continue;
    }
    const Time next = nextDue();
    if (next == Time::max()) {
      wake_.wait(lock, stop, [&] { return nextDue() != Time::max(); });
    } else {
      wake_.wait_until(lock, stop, next, [&] { return nextDue() < next; });
    }
  }
}

}  // namespace berth
