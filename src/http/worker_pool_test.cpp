#include "http/worker_pool.h"

#include <atomic>
#include <future>

#include <gtest/gtest.h>

namespace berth::http {
namespace {

TEST(WorkerPoolTest, EveryAcceptedJobRunsBeforeThePoolIsGone) {
  std::atomic<int> ran = 0;
  int accepted = 0;
  {
    WorkerPool pool("test", 2, 100);
    for (int i = 0; i < 50; ++i) accepted += pool.submit([&ran] { ++ran; }) ? 1 : 0;
  }
  EXPECT_EQ(accepted, 50);
  EXPECT_EQ(ran, 50);
}

TEST(WorkerPoolTest, ItTakesAsManyJobsAsThreadsAndQueueAllowAndNoMore) {
  std::promise<void> release;
  const std::shared_future<void> released(release.get_future());
  WorkerPool pool("test", 2, 1);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pool.submit([released] { released.wait(); })) << i;
  EXPECT_FALSE(pool.submit([] {}));
  release.set_value();
}

TEST(WorkerPoolTest, WithoutAQueueJobsRunSideBySide) {
  std::promise<void> first;
  std::promise<void> second;
  WorkerPool pool("test", 2, 0);
  ASSERT_TRUE(pool.submit([&] {
    first.set_value();
    second.get_future().wait();
  }));
  ASSERT_TRUE(pool.submit([&] {
    first.get_future().wait();
    second.set_value();
  }));
}

}  // namespace
}  // namespace berth::http
