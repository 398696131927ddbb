#include "gpu/nvml/deadline_executor.h"

#include <atomic>
#include <future>

#include <gtest/gtest.h>

namespace berth::gpu {
namespace {

constexpr std::chrono::milliseconds kLong{20000};
constexpr std::chrono::milliseconds kShort{1};

/// A call that does not return until it is let go. It is run once at most.
class HangingCall {
 public:
  std::function<Result<int>()> function() {
    return [this]() -> Result<int> {
      began_ = true;
      began_.notify_all();
      go_.wait(false);
      return 1;
    };
  }
  bool began() const { return began_; }
  void waitUntilItRuns() const { began_.wait(false); }
  void letGo() {
    go_ = true;
    go_.notify_all();
  }

 private:
  std::atomic<bool> began_ = false;
  std::atomic<bool> go_ = false;
};

TEST(DeadlineExecutorTest, TheResultAndTheErrorOfACallComeBack) {
  DeadlineExecutor executor("the driver");
  EXPECT_EQ(executor.call<int>(kLong, [] { return Result<int>(7); }).value(), 7);
  EXPECT_EQ(
      executor.call<int>(kLong, []() -> Result<int> { return fail(ErrorCode::NotFound, "x"); }).error().code,
      ErrorCode::NotFound);
}

TEST(DeadlineExecutorTest, WhileACallHangsOthersFailAtOnceAndAfterItReturnsTheyWork) {
  HangingCall hanging;
  DeadlineExecutor executor("the driver");
  // On a busy machine the limit may pass before the worker gets to the call, which then never runs.
  while (!hanging.began()) {
    EXPECT_EQ(executor.call<int>(kShort, hanging.function()).error().code, ErrorCode::Unavailable);
  }

  std::atomic<bool> ran = false;
  const auto refused = executor.call<int>(kLong, [&]() -> Result<int> {
    ran = true;
    return 2;
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unavailable);
  EXPECT_EQ(refused.error().message, "the driver has not returned from an earlier call");

  hanging.letGo();
  Result<int> later = fail(ErrorCode::Internal, "not called");
  do {
    later = executor.call<int>(kLong, [] { return Result<int>(3); });
  } while (!later);
  EXPECT_EQ(*later, 3);
  EXPECT_FALSE(ran);
}

TEST(DeadlineExecutorTest, ACallWhoseLimitPassedBeforeItBeganNeverRuns) {
  HangingCall hanging;
  DeadlineExecutor executor("the driver");
  auto first = std::async(std::launch::async, [&] { return executor.call<int>(kLong, hanging.function()); });
  hanging.waitUntilItRuns();
  std::atomic<bool> ran = false;
  EXPECT_FALSE(executor.call<int>(kShort, [&]() -> Result<int> {
    ran = true;
    return 2;
  }));
  hanging.letGo();
  EXPECT_EQ(first.get().value(), 1);
  EXPECT_EQ(executor.call<int>(kLong, [] { return Result<int>(3); }).value(), 3);
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace berth::gpu
