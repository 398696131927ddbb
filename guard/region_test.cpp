#include "guard/region.h"

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::guard {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

/// A usage file in memory.
class Usage {
 public:
  explicit Usage(std::size_t gpu_count) : space_(usageBytes(gpu_count) / 64), bytes_(usageBytes(gpu_count)) {
    initialiseUsage(region(), gpu_count);
  }
  UsageRegion& region() { return *reinterpret_cast<UsageRegion*>(space_.data()); }
  std::span<const std::byte> bytes() const {
    return {reinterpret_cast<const std::byte*>(space_.data()), bytes_};
  }

 private:
  struct alignas(64) Line {
    std::array<std::byte, 64> bytes{};
  };
  std::vector<Line> space_;
  std::size_t bytes_;
};

TEST(WordsTest, EachKeepsWhatItsBitsCanHold) {
  const SlotOwner owner{4194303, 0x123456789, true};
  EXPECT_EQ(SlotOwner::of(owner.word()), owner);

  const TicketWord ticket = TicketWord::of(TicketWord{0xffffffff, 1023, 0x3fffff}.word());
  EXPECT_EQ(ticket.granules, 0xffffffffU);
  EXPECT_EQ(ticket.slot, 1023U);
  EXPECT_EQ(ticket.sequence, 0x3fffffU);

  const UsedWord used = UsedWord::of(UsedWord{(std::uint64_t{1} << 42U) - 1, 0x3fffff}.word());
  EXPECT_EQ(used.granules, (std::uint64_t{1} << 42U) - 1);
  EXPECT_EQ(used.sequence, 0x3fffffU);
}

TEST(InitialiseLimitsTest, NamesThatDoNotFitAreRefusedAndNothingIsWritten) {
  const auto limits = std::make_unique<LimitsRegion>();
  const std::string longest(47, 'u');
  const std::string too_long(48, 'u');

  EXPECT_FALSE(initialiseLimits(*limits, {}));
  EXPECT_FALSE(initialiseLimits(*limits, std::array<std::string_view, 1>{too_long}));
  EXPECT_FALSE(initialiseLimits(*limits, std::vector<std::string_view>(kMaxGpus + 1, "GPU-1")));
  EXPECT_FALSE(validLimits(*limits, sizeof *limits));
  EXPECT_TRUE(initialiseLimits(*limits, std::array<std::string_view, 1>{longest}));
  EXPECT_TRUE(validLimits(*limits, sizeof *limits));
  EXPECT_FALSE(validLimits(*limits, sizeof *limits - 1));
}

TEST(ReadUsageTest, AnEmptyFileHasNoProcesses) { EXPECT_THAT(*readUsage(Usage(2).bytes(), 2), IsEmpty()); }

TEST(ReadUsageTest, AReservationThatItsSlotDoesNotShowYetCounts) {
  Usage usage(1);
  usage.region().slots[3].owner = SlotOwner{42, 1000}.word();
  usage.region().gpu(0).used[3] = UsedWord{10, 7}.word();
  usage.region().gpu(0).ticket = TicketWord{5, 3, 8}.word();
  EXPECT_EQ(readUsage(usage.bytes(), 1)->at(0).gpus[0].bytes, 15 * kGranule);

  usage.region().gpu(0).used[3] = UsedWord{15, 8}.word();
  EXPECT_EQ(readUsage(usage.bytes(), 1)->at(0).gpus[0].bytes, 15 * kGranule);
}

TEST(ReadUsageTest, AFileOfAnotherLengthCountOrMagicIsNone) {
  Usage usage(2);
  EXPECT_FALSE(readUsage(usage.bytes().first(usage.bytes().size() - 1), 2));
  EXPECT_FALSE(readUsage(usage.bytes(), 1));
  EXPECT_FALSE(readUsage(usage.bytes(), kMaxGpus + 1));
  usage.region().header.magic += 1;
  EXPECT_FALSE(readUsage(usage.bytes(), 2));
}

TEST(ReadUsageTest, HostileNumbersStayInRange) {
  Usage usage(1);
  std::memset(static_cast<void*>(usage.region().slots.data()), 0xff, sizeof(Slot) * kMaxProcesses);
  std::memset(static_cast<void*>(&usage.region().gpu(0)), 0xff, sizeof(GpuUsage));

  const auto processes = readUsage(usage.bytes(), 1);
  ASSERT_TRUE(processes);
  EXPECT_THAT(*processes, SizeIs(kMaxProcesses));
  EXPECT_EQ(totalOf(*processes, 0).gpu_ns, ~std::uint64_t{0});
  EXPECT_EQ(totalOf(*processes, 0).bytes, kMaxProcesses * ((std::uint64_t{1} << 42U) - 1) * kGranule);
  EXPECT_EQ(totalOf(*processes, 1).bytes, 0U);
}

}  // namespace
}  // namespace berth::guard
