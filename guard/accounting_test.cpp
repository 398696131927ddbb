#include "guard/accounting.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guard/slots.h"

namespace berth::guard {
namespace {

/// Both regions in memory that child processes share.
class SharedRegions {
 public:
  SharedRegions()
      : limits_(*map<LimitsRegion>(sizeof(LimitsRegion))), usage_(*map<UsageRegion>(usageBytes(2))) {
    initialiseLimits(limits_, std::array<std::string_view, 2>{"GPU-a", "GPU-b"});
    initialiseUsage(usage_, 2);
  }
  ~SharedRegions() {
    ::munmap(&limits_, sizeof(LimitsRegion));
    ::munmap(&usage_, usageBytes(2));
  }
  SharedRegions(const SharedRegions&) = delete;
  SharedRegions& operator=(const SharedRegions&) = delete;

  LimitsRegion& limits() { return limits_; }
  UsageRegion& usage() { return usage_; }
  void useSlots(std::uint32_t count) { usage_.header.slots_end = count; }

 private:
  template <typename T>
  static T* map(std::size_t bytes) {
    return static_cast<T*>(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  }
  LimitsRegion& limits_;
  UsageRegion& usage_;
};

class AccountingTest : public testing::Test {
 protected:
  AccountingTest() { regions_.useSlots(4); }
  SharedRegions regions_;
  Accounting gpu_{regions_.usage(), 0};
};

TEST_F(AccountingTest, GrantsUpToTheLimitAndNotOneGranuleMore) {
  EXPECT_TRUE(gpu_.reserve(0, 60, 100));
  EXPECT_FALSE(gpu_.reserve(1, 41, 100));
  EXPECT_TRUE(gpu_.reserve(1, 40, 100));
  EXPECT_FALSE(gpu_.reserve(2, 1, 100));
  EXPECT_EQ(gpu_.used(), 100U);
}

TEST_F(AccountingTest, WhatIsGivenBackCanBeTakenByAnother) {
  EXPECT_TRUE(gpu_.reserve(0, 100, 100));
  gpu_.release(0, 30);
  EXPECT_TRUE(gpu_.reserve(1, 30, 100));
  EXPECT_EQ(gpu_.usedBy(0), 70U);
  EXPECT_EQ(gpu_.usedBy(1), 30U);
}

TEST_F(AccountingTest, GpusAreCountedApart) {
  EXPECT_TRUE(gpu_.reserve(0, 100, 100));
  EXPECT_TRUE(Accounting(regions_.usage(), 1).reserve(0, 100, 100));
}

TEST_F(AccountingTest, ALimitBelowWhatIsUsedRefusesUntilEnoughIsGivenBack) {
  gpu_.charge(0, 100);
  EXPECT_FALSE(gpu_.reserve(0, 1, 50));
  gpu_.release(0, 51);
  EXPECT_TRUE(gpu_.reserve(0, 1, 50));
}

TEST_F(AccountingTest, RequestsTooLargeToCountAreRefused) {
  EXPECT_TRUE(gpu_.reserve(0, kMaxReservation / kGranule, ~std::uint64_t{0}));
  EXPECT_FALSE(gpu_.reserve(0, kMaxReservation / kGranule + 1, ~std::uint64_t{0}));
}

TEST_F(AccountingTest, GivingBackMoreThanWasTakenLeavesNothing) {
  gpu_.charge(0, 5);
  gpu_.release(0, 6);
  EXPECT_EQ(gpu_.used(), 0U);
}

// A process may be killed between taking the ticket and carrying it over; this is the region it leaves.
TEST_F(AccountingTest, AReservationWhoseMakerWasKilledBeforeCarryingItOverCountsUntilItsSlotIsCleared) {
  regions_.usage().gpu(0).ticket = TicketWord{60, 2, 1}.word();

  EXPECT_EQ(gpu_.used(), 60U);
  EXPECT_FALSE(gpu_.reserve(0, 41, 100));
  EXPECT_EQ(gpu_.usedBy(2), 60U);

  gpu_.clear(2);
  EXPECT_TRUE(gpu_.reserve(0, 100, 100));
}

TEST_F(AccountingTest, ASequenceThatWrapsAroundToTheOneShownIsSkipped) {
  regions_.usage().gpu(0).ticket = TicketWord{0, 1, 6}.word();
  regions_.usage().gpu(0).used[1] = UsedWord{0, 6}.word();
  regions_.usage().gpu(0).used[0] = UsedWord{10, 7}.word();  // From 2^22 reservations ago
  EXPECT_TRUE(gpu_.reserve(0, 5, 100));
  EXPECT_EQ(gpu_.usedBy(0), 15U);
}

TEST_F(AccountingTest, ThreadsAndSlotsAtOnceNeverPassTheLimitAndLoseNothing) {
  constexpr std::uint64_t kLimit = 1000;
  std::atomic<bool> passed{false};
  std::vector<std::jthread> threads;
  for (std::uint32_t i = 0; i < 4; ++i) {
    threads.emplace_back([this, i, &passed] {
      std::minstd_rand random(i + 1);
      std::uint64_t held = 0;
      for (int step = 0; step < 20'000; ++step) {
        const std::uint64_t wanted = random() % 400 + 1;
        if (gpu_.reserve(i % 2, wanted, kLimit)) held += wanted;
        if (gpu_.used() > kLimit) passed = true;
        if (random() % 2 == 0) {
          gpu_.release(i % 2, held);
          held = 0;
        }
      }
      gpu_.release(i % 2, held);
    });
  }
  threads.clear();
  EXPECT_FALSE(passed);
  EXPECT_EQ(gpu_.used(), 0U);
}

TEST_F(AccountingTest, ARefusalMeansThatTheLimitReallyWasReached) {
  // Two threads of which each always holds 40 of 100: a third of 20 must never be refused.
  std::atomic<bool> stop{false};
  std::atomic<int> refused{0};
  std::vector<std::jthread> threads;
  for (std::uint32_t i = 0; i < 2; ++i) {
    threads.emplace_back([this, i, &stop, &refused] {
      while (!stop) {
        if (!gpu_.reserve(i, 40, 100)) ++refused;
        gpu_.release(i, 40);
      }
    });
  }
  for (int i = 0; i < 50'000; ++i) {
    if (!gpu_.reserve(2, 20, 100)) ++refused;
    gpu_.release(2, 20);
  }
  stop = true;
  threads.clear();
  EXPECT_EQ(refused, 0);
}

/// Allocates at random until it is killed.
[[noreturn]] void churn(SharedRegions& regions, std::uint64_t limit, unsigned seed) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Slots slots(regions.usage(), regions.limits());
  std::uint32_t slot = 0;
  const Identity me = self();
  if (slots.claim(me, slot) != Slots::Claim::Taken) ::_exit(1);
  Accounting gpu(regions.usage(), 0);
  std::minstd_rand random(seed);
  for (;;) {
    const std::uint64_t wanted = random() % (limit / 4) + 1;
    const bool granted = gpu.reserve(slot, wanted, limit);
    if (gpu.used() > limit) ::_exit(2);
    if (granted) gpu.release(slot, wanted);
    if (!granted) slots.reap(me);
  }
}

TEST(AccountingKillTest, EightProcessesKilledAtRandomNeverPassTheLimitAndLeaveNothing) {
  SharedRegions regions;
  std::array<pid_t, 8> children{};
  unsigned seed = 1;
  const auto start = [&](pid_t& child) {
    ++seed;
    child = ::fork();
    if (child == 0) churn(regions, 10'000, seed);
  };
  for (pid_t& child : children) start(child);
  std::minstd_rand random(7);
  for (int round = 0; round < 60; ++round) {
    ::usleep(static_cast<useconds_t>(random() % 3000));  // Where the kill hits is what is random here
    pid_t& victim = children.at(random() % children.size());
    ::kill(victim, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(victim, &status, 0), victim);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exited with " << WEXITSTATUS(status);
    start(victim);
  }
  for (const pid_t child : children) {
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "exited with " << WEXITSTATUS(status);
  }
  Slots(regions.usage(), regions.limits()).reap(self());
  EXPECT_EQ(Accounting(regions.usage(), 0).used(), 0U);
  EXPECT_LE(regions.usage().header.slots_end.load(), 20U);
}

class SlotsTest : public testing::Test {
 protected:
  Slots::Claim claim(const Identity& identity) { return slots_.claim(identity, slot_); }
  SharedRegions regions_;
  Slots slots_{regions_.usage(), regions_.limits()};
  Accounting gpu_{regions_.usage(), 1};
  std::uint32_t slot_ = 99;
};

TEST_F(SlotsTest, ASecondCopyInTheSameProcessIsTold) {
  EXPECT_EQ(claim(self()), Slots::Claim::Taken);
  EXPECT_EQ(slot_, 0U);
  EXPECT_EQ(claim(self()), Slots::Claim::AlreadyMine);
}

TEST_F(SlotsTest, AProgramThatReplacedAnotherByExecTakesItsSlotWithoutItsMemory) {
  claim(self());
  gpu_.charge(slot_, 10);
  Identity after = self();
  after.exec_id += 1;
  EXPECT_EQ(claim(after), Slots::Claim::Taken);
  EXPECT_EQ(slot_, 0U);
  EXPECT_EQ(gpu_.used(), 0U);
}

TEST_F(SlotsTest, APidThatIsUsedAgainDoesNotKeepTheMemoryOfTheDead) {
  Identity dead = self();
  dead.owner.start_ticks -= 1;
  claim(dead);
  gpu_.charge(slot_, 10);

  Identity other = self();
  other.owner.pid = 1;
  EXPECT_TRUE(slots_.reap(other));
  EXPECT_EQ(gpu_.used(), 0U);
}

TEST_F(SlotsTest, AZombieIsDead) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  SlotOwner owner{static_cast<std::uint32_t>(child), self().owner.start_ticks};
  EXPECT_FALSE(isAlive(owner));
  ::waitpid(child, nullptr, 0);
}

TEST_F(SlotsTest, AProcessOfAnotherPidNamespaceIsJudgedByTheDaemonAlone) {
  Identity foreign = self();
  foreign.owner.start_ticks -= 1;
  foreign.pid_namespace += 1;
  claim(foreign);
  gpu_.charge(slot_, 10);
  EXPECT_FALSE(slots_.reap(self()));

  regions_.limits().dead[slot_] = foreign.owner.word();
  EXPECT_TRUE(slots_.reap(self()));
  EXPECT_EQ(gpu_.used(), 0U);
}

TEST_F(SlotsTest, WhenEverySlotIsHeldByTheLivingThereIsNone) {
  regions_.useSlots(kMaxProcesses);
  const std::uint64_t parent = SlotOwner{1, 0}.word();
  for (Slot& slot : regions_.usage().slots) {
    slot.owner = parent;
    slot.pid_namespace = 1;  // None of ours
  }
  EXPECT_EQ(claim(self()), Slots::Claim::Full);
}

TEST(ParseStatTest, NamesMayHoldParenthesesAndBlanks) {
  const auto fields = parseStat("7 (a) R 1) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 12345 100 200\n");
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->state, 'S');
  EXPECT_EQ(fields->threads, 3U);
  EXPECT_EQ(fields->start_ticks, 12345U);
}

TEST(ParseStatTest, TextThatIsCutShortIsNone) {
  constexpr std::string_view kWhole = "7 (a) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 3 0 12345";
  ASSERT_TRUE(parseStat(kWhole));
  for (std::size_t cut = 0; cut < kWhole.size() - 5; ++cut) EXPECT_FALSE(parseStat(kWhole.substr(0, cut)));
}

}  // namespace
}  // namespace berth::guard
