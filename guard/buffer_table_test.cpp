#include "guard/buffer_table.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace berth::guard {
namespace {

class BufferTableTest : public testing::Test {
 protected:
  std::unique_ptr<BufferTable> table_ = std::make_unique<BufferTable>();
  Buffer found_;
};

TEST_F(BufferTableTest, ReturnsWhatWasAddedOnce) {
  ASSERT_TRUE(
      table_->add(BufferKind::Memory, 0x7f0000000200, {.granules = 7, .gpu = 3, .context = 9, .link = 11}));
  EXPECT_FALSE(table_->take(BufferKind::Array, 0x7f0000000200, found_));
  ASSERT_TRUE(table_->take(BufferKind::Memory, 0x7f0000000200, found_));
  EXPECT_EQ(found_.granules, 7U);
  EXPECT_EQ(found_.gpu, 3U);
  EXPECT_EQ(found_.context, 9U);
  EXPECT_EQ(found_.link, 11U);
  EXPECT_FALSE(table_->take(BufferKind::Memory, 0x7f0000000200, found_));
}

TEST_F(BufferTableTest, AHundredThousandEntriesAreAllFoundAgain) {
  constexpr std::uint64_t kCount = 100'000;
  for (std::uint64_t i = 1; i <= kCount; ++i)
    ASSERT_TRUE(table_->add(BufferKind::Memory, i * 512, {.granules = i}));
  for (std::uint64_t i = 1; i <= kCount; ++i) {
    ASSERT_TRUE(table_->take(BufferKind::Memory, i * 512, found_));
    ASSERT_EQ(found_.granules, i);
  }
  EXPECT_FALSE(table_->find(BufferKind::Memory, 512, found_));
}

TEST_F(BufferTableTest, AContextTakesItsEntriesAlong) {
  for (std::uint64_t i = 1; i <= 10; ++i)
    table_->add(BufferKind::Memory, i, {.granules = 1, .context = i % 2 + 1});
  std::uint64_t freed = 0;
  table_->takeOfContext(2, [&freed](const Buffer& buffer) { freed += buffer.granules; });
  EXPECT_EQ(freed, 5U);
  EXPECT_FALSE(table_->find(BufferKind::Memory, 1, found_));
  EXPECT_TRUE(table_->find(BufferKind::Memory, 2, found_));
}

TEST_F(BufferTableTest, ReferencesAreCounted) {
  table_->add(BufferKind::Physical, 5, {.granules = 1, .link = 1});
  EXPECT_EQ(table_->addToLink(BufferKind::Physical, 5, 1), 2U);
  EXPECT_EQ(table_->addToLink(BufferKind::Physical, 5, -2), 0U);
  EXPECT_EQ(table_->addToLink(BufferKind::Physical, 6, 1), 0U);
}

TEST_F(BufferTableTest, ThreadsThatAddAndTakeAtOnceDoNotDisturbEachOther) {
  std::atomic<int> lost{0};
  std::vector<std::jthread> threads;
  for (std::uint64_t t = 1; t <= 4; ++t) {
    threads.emplace_back([this, t, &lost] {
      Buffer mine;
      for (std::uint64_t i = 0; i < 20'000; ++i) {
        const std::uint64_t handle = (t << 32U) | (i % 3000);
        if (!table_->add(BufferKind::Memory, handle, {.granules = i})) ++lost;
        if (!table_->take(BufferKind::Memory, handle, mine) || mine.granules != i) ++lost;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(lost, 0);
}

}  // namespace
}  // namespace berth::guard
