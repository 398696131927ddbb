// Work by key: "look at this thing again", from anywhere, carried out by a few threads, never twice at once
// for one key.
//
// The daemon's reconcilers hang on this: an exit, a timer, a change of the ledger add a key; a worker
// compares what is wanted with what is. Adding a key that is already waiting changes nothing; adding one that
// is being worked on makes it run once more afterwards, so no news is lost. (The idea is that of Kubernetes'
// client-go workqueue.)
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace berth {

class WorkQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// Called with a key on a worker thread, for different keys at the same time. Must not throw.
  using Work = std::function<void(const std::string& key)>;

  /// Starts `workers` threads. Destroying waits for the keys being worked on and drops those that wait.
  WorkQueue(int workers, Work work);
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  /// Safe from every thread, also from inside work. Due at once, or not before `due`; the earlier of two
  /// dates counts.
  void add(const std::string& key);
  void addAt(const std::string& key, Time due);

  /// Stops taking keys and waits for those being worked on. Idempotent; not from inside work.
  void stop();

 private:
  void run(const std::stop_token& stop);
  bool takeDue(std::string& key);  // Under the lock.
  Time nextDue() const;            // Under the lock.

  Work work_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::map<std::string, Time> waiting_;
  std::set<std::string> busy_;
  std::vector<std::jthread> threads_;
};

}  // namespace berth
