#include "base/work_queue.h"

#include <atomic>
#include <future>

#include <gtest/gtest.h>

namespace berth {
namespace {

using std::chrono::steady_clock;

TEST(WorkQueueTest, AKeyAddedWhileItIsWorkedOnRunsOnceMore) {
  std::promise<void> started;
  std::promise<void> go_on;
  std::promise<void> second;
  std::atomic<int> runs = 0;
  WorkQueue queue(2, [&](const std::string&) {
    if (++runs == 1) {
      started.set_value();
      go_on.get_future().wait();
    } else {
      second.set_value();
    }
  });
  queue.add("a");
  started.get_future().wait();
  queue.add("a");
  queue.add("a");
  EXPECT_EQ(runs, 1) << "one key is never worked on twice at once";
  go_on.set_value();
  second.get_future().wait();
  queue.stop();
  EXPECT_EQ(runs, 2) << "two additions while busy are one more run";
}

TEST(WorkQueueTest, DifferentKeysRunAtTheSameTime) {
  std::promise<void> a_started;
  std::promise<void> b_done;
  std::promise<void> a_done;
  WorkQueue queue(2, [&](const std::string& key) {
    if (key == "a") {
      a_started.set_value();
      b_done.get_future().wait();
      a_done.set_value();
    } else {
      b_done.set_value();
    }
  });
  queue.add("a");
  a_started.get_future().wait();
  queue.add("b");
  a_done.get_future().wait();
}

TEST(WorkQueueTest, TheEarlierOfTwoDatesCounts) {
  std::promise<steady_clock::time_point> ran;
  WorkQueue queue(1, [&](const std::string&) { ran.set_value(steady_clock::now()); });
  const auto begin = steady_clock::now();
  queue.addAt("a", begin + std::chrono::hours(1));
  queue.addAt("a", begin + std::chrono::milliseconds(5));
  EXPECT_GE(ran.get_future().get(), begin + std::chrono::milliseconds(5));
}

TEST(WorkQueueTest, StoppingDropsWhatWaits) {
  std::atomic<int> runs = 0;
  WorkQueue queue(1, [&](const std::string&) { ++runs; });
  queue.addAt("later", steady_clock::now() + std::chrono::hours(1));
  queue.stop();
  EXPECT_EQ(runs, 0);
}

}  // namespace
}  // namespace berth
