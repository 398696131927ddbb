#include "gpu/nvml/deadline_executor.h"

#include <atomic>
#include <future>

#include <gtest/gtest.h>

namespace berth::gpu {
namespace {

constexpr std::chrono::milliseconds kLong{20000};
constexpr std::chrono::milliseconds kShort{1};

/// A call that does not return until it is let go.
class HangingCall {
 public:
  std::function<Result<int>()> function() {
    return [go = go_.get_future().share(), this]() -> Result<int> {
      began_.set_value();
      go.wait();
      return 1;
    };
  }
  void waitUntilItRuns() { began_.get_future().wait(); }
  void letGo() { go_.set_value(); }

 private:
  std::promise<void> began_;
  std::promise<void> go_;
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
  auto first = std::async(std::launch::async, [&] { return executor.call<int>(kShort, hanging.function()); });
  hanging.waitUntilItRuns();
  EXPECT_EQ(first.get().error().message, "the driver did not answer in time");

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
