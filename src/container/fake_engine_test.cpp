#include "container/fake_engine.h"

#include <thread>

#include <gtest/gtest.h>

namespace berth::container {
namespace {

ContainerConfig config(std::string name) {
  ContainerConfig made;
  made.name = std::move(name);
  made.image = "image";
  made.labels = {{"berth.dev/workload", made.name}};
  return made;
}

class FakeEngineTest : public ::testing::Test {
 protected:
  FakeEngineTest() { engine_.addImage("image"); }
  FakeEngine engine_;
};

TEST_F(FakeEngineTest, AContainerLivesAsWithARealEngine) {
  const auto id = engine_.create(config("web"));
  ASSERT_TRUE(id);
  EXPECT_EQ(engine_.inspect(*id)->state, ContainerState::Created);
  ASSERT_TRUE(engine_.start(*id));
  EXPECT_EQ(engine_.inspect(*id)->state, ContainerState::Running);
  EXPECT_GT(engine_.inspect(*id)->pid, 0);
  EXPECT_EQ(engine_.remove(*id, false).error().code, ErrorCode::Conflict);
  engine_.exitContainer(*id, 7);
  EXPECT_EQ(engine_.inspect(*id)->exit_code, 7);
  EXPECT_EQ(engine_.inspect(*id)->pid, 0);
  EXPECT_GT(engine_.inspect(*id)->finished, engine_.inspect(*id)->started);
  ASSERT_TRUE(engine_.remove(*id, false));
  EXPECT_EQ(engine_.inspect(*id).error().code, ErrorCode::NotFound);
  EXPECT_TRUE(engine_.remove(*id, false));
  EXPECT_EQ(engine_.calls(),
            (std::vector<std::string>{"create web", "start c-1", "remove c-1", "remove c-1", "remove c-1"}));
}

TEST_F(FakeEngineTest, StoppingEndsARunningContainerAndIsFineForAnEndedOne) {
  const auto id = engine_.create(config("web"));
  ASSERT_TRUE(engine_.start(*id));
  ASSERT_TRUE(engine_.stop(*id, std::chrono::seconds(3)));
  EXPECT_EQ(engine_.inspect(*id)->exit_code, 143);
  EXPECT_TRUE(engine_.stop(*id, std::chrono::seconds(3)));
  EXPECT_EQ(engine_.calls().back(), "stop c-1 grace=3");
}

TEST_F(FakeEngineTest, UnknownImagesAndTakenNamesAreRefused) {
  ContainerConfig unknown = config("a");
  unknown.image = "other";
  EXPECT_EQ(engine_.create(unknown).error().code, ErrorCode::NotFound);
  EXPECT_EQ(engine_.imageId("other").error().code, ErrorCode::NotFound);
  ASSERT_TRUE(engine_.create(config("b")));
  EXPECT_EQ(engine_.create(config("b")).error().code, ErrorCode::Conflict);
  EXPECT_EQ(engine_.containerCount(), 1U);
}

TEST_F(FakeEngineTest, AFailureIsDeliveredOnceAndDoesNothing) {
  const auto id = engine_.create(config("web"));
  engine_.failNext(EngineCall::Start, {ErrorCode::Io, "no"});
  EXPECT_EQ(engine_.start(*id).error().message, "no");
  EXPECT_EQ(engine_.inspect(*id)->state, ContainerState::Created);
  EXPECT_TRUE(engine_.start(*id));
}

TEST_F(FakeEngineTest, AnEngineThatIsAwayRefusesEverythingAndKeepsItsContainers) {
  const auto id = engine_.create(config("web"));
  engine_.setUnavailable(true);
  EXPECT_EQ(engine_.version().error().code, ErrorCode::Unavailable);
  EXPECT_EQ(engine_.remove(*id, true).error().code, ErrorCode::Unavailable);
  engine_.setUnavailable(false);
  EXPECT_TRUE(engine_.inspect(*id));
}

TEST_F(FakeEngineTest, ListingGoesByLabel) {
  ASSERT_TRUE(engine_.create(config("a")));
  ASSERT_TRUE(engine_.create(config("b")));
  const auto found = engine_.list("berth.dev/workload", "b");
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ((*found)[0].name, "b");
  EXPECT_EQ(engine_.configOf("a")->image, "image");
  EXPECT_EQ(*engine_.idOf("b"), (*found)[0].id);
  EXPECT_FALSE(engine_.configOf("c"));
}

TEST_F(FakeEngineTest, LogsComeInOrderFromTheTailUntilTheSinkHasEnough) {
  const auto id = engine_.create(config("web"));
  for (const char* line : {"1", "2", "3"}) engine_.addLog(*id, false, line);
  std::string seen;
  LogOptions options;
  options.tail = 2;
  ASSERT_TRUE(engine_.logs(*id, options, [&](bool, std::string_view bytes) {
    seen += bytes;
    return true;
  }));
  EXPECT_EQ(seen, "23");
  seen.clear();
  ASSERT_TRUE(engine_.logs(*id, {}, [&](bool, std::string_view bytes) {
    seen += bytes;
    return false;
  }));
  EXPECT_EQ(seen, "1");
}

TEST_F(FakeEngineTest, AContainerRemovedByOthersIsGone) {
  const auto id = engine_.create(config("web"));
  engine_.forget(*id);
  EXPECT_EQ(engine_.start(*id).error().code, ErrorCode::NotFound);
}

TEST_F(FakeEngineTest, ThreadsMayShareIt) {
  std::vector<std::jthread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      const auto id = engine_.create(config("web" + std::to_string(i)));
      ASSERT_TRUE(id);
      EXPECT_TRUE(engine_.start(*id));
    });
  }
  threads.clear();
  EXPECT_EQ(engine_.containerCount(), 4U);
  EXPECT_EQ(engine_.calls().size(), 8U);
}

}  // namespace
}  // namespace berth::container
