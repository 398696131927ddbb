#include "engine/model.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace berth::sim {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr double kT4Sms = 40;

/// A T4 with clients that queue work.
class Bench {
 public:
  Bench()
      : state_(std::make_unique<ModelState>()), model_(*state_, ModelParams{kT4Sms, 2'000'000, 199'000}) {}

  Model& operator*() { return model_; }
  Model* operator->() { return &model_; }
  ModelState& state() { return *state_; }

  /// A plain process with one stream.
  std::uint32_t process(std::uint32_t client) { return add(client, client, kT4Sms); }
  /// A client of the MPS server in slot `server`.
  std::uint32_t mpsClient(std::uint32_t client, double cap, std::uint32_t server = 100) {
    return add(client, kMaxClients + server, cap);
  }
  void queue(std::uint32_t stream, int items, double sm_ns, double max_sms = kT4Sms) {
    for (int i = 0; i < items; ++i) ASSERT_TRUE(model_.push(stream, sm_ns, max_sms));
  }
  std::uint64_t completed(std::uint32_t stream) { return state_->streams[stream].completed; }

 private:
  std::uint32_t add(std::uint32_t client, std::uint32_t entity, double cap) {
    state_->clients[client] = ClientShare{1, entity, cap};
    return model_.openStream(client, 0).value_or(kNoStream);
  }

  std::unique_ptr<ModelState> state_;
  Model model_;
};

/// One n-body iteration of 40960 bodies at 4330 GFLOP/s on the whole GPU, in SM-ns (appliance.md 5.3).
constexpr double kFlop = 40960.0 * 40960.0 * 20.0;
constexpr double kIterationSmNs = kFlop / 4330.0 * kT4Sms;

double gflops(std::uint64_t iterations, std::uint64_t ns) { return double(iterations) * kFlop / double(ns); }

TEST(ModelTest, OneJobAloneGetsTheWholeGpu) {
  Bench bench;
  const auto stream = bench.process(0);
  bench.queue(stream, 100'000, kIterationSmNs);
  bench->advanceTo(100 * kSecond);
  EXPECT_NEAR(gflops(bench.completed(stream), 100 * kSecond), 4330, 1);
}

TEST(ModelTest, TwoTimeSlicedJobsGetThePublished1969GflopsEach) {
  Bench bench;
  const auto a = bench.process(0);
  const auto b = bench.process(1);
  bench.queue(a, 10'000, kIterationSmNs);
  bench.queue(b, 10'000, kIterationSmNs);
  bench->advanceTo(1000 * kSecond);
  EXPECT_NEAR(double(bench->finishedAt(a, 10'000)) / 1e9, 170.40, 0.1);
  EXPECT_NEAR(double(bench->finishedAt(b, 10'000)) / 1e9, 170.37, 0.1);
  EXPECT_NEAR(gflops(10'000, bench->finishedAt(a, 10'000)), 1969, 1);
}

TEST(ModelTest, TwoJobsUnderMpsGetThePublished2165GflopsEach) {
  Bench bench;
  const auto a = bench.mpsClient(0, kT4Sms);
  const auto b = bench.mpsClient(1, kT4Sms);
  bench.queue(a, 10'000, kIterationSmNs);
  bench.queue(b, 10'000, kIterationSmNs);
  bench->advanceTo(1000 * kSecond);
  EXPECT_NEAR(double(bench->finishedAt(a, 10'000)) / 1e9, 154.98, 0.1);
  EXPECT_NEAR(gflops(10'000, bench->finishedAt(b, 10'000)), 2165, 1);
}

TEST(ModelTest, AnMpsClientWithTwentyPercentGetsEightOfFortySms) {
  Bench bench;
  const auto a = bench.mpsClient(0, 8);
  const auto b = bench.mpsClient(1, kT4Sms);
  bench.queue(a, 1, 8e9);
  bench.queue(b, 1, 64e9);
  bench->advanceTo(10 * kSecond);
  EXPECT_EQ(bench->finishedAt(a, 1), kSecond);
  EXPECT_EQ(bench->finishedAt(b, 1), 2 * kSecond - kSecond / 5);  // 32 SMs for 1 s, then all 40
}

TEST(ModelTest, SmsNobodyElseWantsGoToThoseWhoDo) {
  std::vector<double> shares(3);
  shareMaxMin(40, std::vector<double>{4, 40, 40}, shares);
  EXPECT_EQ(shares, (std::vector<double>{4, 18, 18}));
  shareMaxMin(40, std::vector<double>{10, 10, 10}, shares);
  EXPECT_EQ(shares, (std::vector<double>{10, 10, 10}));
}

TEST(ModelTest, AnMpsServerTakesTurnsWithAPlainProcessAsOne) {
  Bench bench;
  const auto plain = bench.process(0);
  const auto a = bench.mpsClient(1, kT4Sms);
  const auto b = bench.mpsClient(2, kT4Sms);
  for (const auto stream : {plain, a, b}) bench.queue(stream, 1'000'000, 40e3);
  bench->advanceTo(kSecond);
  EXPECT_NEAR(double(bench.completed(plain)), 2.0 * double(bench.completed(a)), 5000);
  EXPECT_NEAR(double(bench.completed(a)), double(bench.completed(b)), 2000);
}

TEST(ModelTest, ResultsDoNotDependOnHowOftenAnybodyLooks) {
  Bench rare;
  Bench often;
  for (Bench* bench : {&rare, &often}) {
    const auto a = bench->process(0);
    const auto b = bench->process(1);
    bench->queue(a, 500, 3e8);
    bench->queue(b, 700, 1e8);
  }
  rare->advanceTo(10 * kSecond);
  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): the same every time
  for (std::uint64_t t = 0; t < 10 * kSecond; t += random() % 3'000'000) often->advanceTo(t);
  EXPECT_NEAR(double(rare->finishedAt(0, 500)), double(often->finishedAt(0, 500)), 1e4);
  EXPECT_NEAR(double(rare->finishedAt(1, 700)), double(often->finishedAt(1, 700)), 1e4);
}

TEST(ModelTest, ManyQueuedLaunchesOfOneKindTakeOnePlace) {
  Bench bench;
  const auto stream = bench.process(0);
  bench.queue(stream, 100'000, 40e3);
  EXPECT_EQ(bench.state().streams[stream].tail, 1U);
  bench->advanceTo(kSecond);
  EXPECT_TRUE(bench->done(stream, 100'000));
  EXPECT_EQ(bench->finishedAt(stream, 1), 1'000U);
  EXPECT_EQ(bench->finishedAt(stream, 50'000), 50'000'000U);
}

TEST(ModelTest, AFullQueueTakesNoMoreUntilWorkFinishes) {
  Bench bench;
  const auto stream = bench.process(0);
  for (std::uint32_t i = 0; i < kRunsPerStream; ++i) ASSERT_TRUE(bench->push(stream, 40.0 * (i + 1), 40));
  EXPECT_FALSE(bench->push(stream, 1, 40));
  EXPECT_FALSE(bench->pushBarrier(stream, stream, 1));
  bench->advanceTo(2);
  EXPECT_TRUE(bench->push(stream, 1, 40));
}

TEST(ModelTest, ZeroWorkFinishesInOrderAndCostsNothing) {
  Bench bench;
  const auto stream = bench.process(0);
  ASSERT_EQ(bench->push(stream, 0, 0), 1U);
  EXPECT_TRUE(bench->done(stream, 1));
  bench.queue(stream, 1, 40e6);
  bench.queue(stream, 1, 0);
  EXPECT_FALSE(bench->done(stream, 3));
  bench->advanceTo(1'000'000);
  EXPECT_EQ(bench->finishedAt(stream, 3), 1'000'000U);
}

TEST(ModelTest, ABarrierHoldsAStreamBackUntilTheOtherIsThere) {
  Bench bench;
  const auto a = bench.process(0);
  const auto b = bench->openStream(0, 0).value_or(kNoStream);
  bench.queue(a, 2, 40e6);
  ASSERT_TRUE(bench->pushBarrier(b, a, 1));
  bench.queue(b, 1, 40e6);
  EXPECT_GE(bench->earliestFinish(b, 1), 2'000'000U);
  bench->advanceTo(kSecond);
  EXPECT_EQ(bench->finishedAt(a, 1), 1'000'000U);
  EXPECT_EQ(bench->finishedAt(b, 1), 3'000'000U);  // Half the GPU each from 1 ms on.
}

TEST(ModelTest, AStreamOfHigherPriorityGoesFirst) {
  Bench bench;
  const auto low = bench.process(0);
  const auto high = bench->openStream(0, -5).value_or(kNoStream);
  bench.queue(low, 1, 40e6);
  bench.queue(high, 1, 40e6);
  bench->advanceTo(kSecond);
  EXPECT_EQ(bench->finishedAt(high, 1), 1'000'000U);
  EXPECT_EQ(bench->finishedAt(low, 1), 2'000'000U);
}

TEST(ModelTest, ADroppedClientLeavesTheGpuToTheOthersAtOnce) {
  Bench bench;
  const auto a = bench.mpsClient(0, kT4Sms);
  const auto b = bench.mpsClient(1, kT4Sms);
  bench.queue(a, 1, 400e9);
  bench.queue(b, 1, 40e9);
  bench->advanceTo(kSecond);
  bench.state().clients[0].runnable = 0;
  bench->dropClient(0);
  bench->advanceTo(3 * kSecond);
  EXPECT_EQ(bench->finishedAt(b, 1), kSecond + kSecond / 2);
}

TEST(ModelTest, AHangingGpuFinishesNothing) {
  Bench bench;
  const auto stream = bench.process(0);
  bench.queue(stream, 1, 40e6);
  bench->stallUntil(kSecond);
  EXPECT_FALSE(bench->done(stream, 1));
  bench->advanceTo(2 * kSecond);
  EXPECT_EQ(bench->finishedAt(stream, 1), kSecond + 1'000'000);
}

TEST(ModelTest, UtilisationIsTheBusyShareOfTheLastWindow) {
  Bench bench;
  const auto stream = bench.process(3);
  bench.queue(stream, 1, 40.0 * 250e6);  // Busy for 250 ms.
  bench->advanceTo(500'000'000);
  EXPECT_NEAR(bench->utilisation(10), 0.5, 0.001);
  EXPECT_NEAR(bench->clientUtilisation(3, 10), 0.5, 0.001);
  EXPECT_EQ(bench->clientUtilisation(4, 10), 0);
  bench->advanceTo(10 * kSecond);
  EXPECT_EQ(bench->utilisation(10), 0);
}

TEST(ModelTest, AGapOfHoursIsBoundedWork) {
  Bench bench;
  bench.queue(bench.process(0), 1, 1e18);
  bench.queue(bench.process(1), 1, 1e18);
  bench->advanceTo(1'000'000 * kSecond);
  EXPECT_EQ(bench->now(), 1'000'000 * kSecond);
}

TEST(ModelTest, HostileNumbersNeitherCrashNorLoop) {
  Bench bench;
  std::mt19937_64 random(7);  // NOLINT(bugprone-random-generator-seed): the same every time
  auto* bytes = reinterpret_cast<unsigned char*>(&bench.state());
  for (int round = 0; round < 20; ++round) {
    bench.process(1);
    bench->push(0, 1e6, kT4Sms);
    bench->pushBarrier(1, 0, 1);
    for (int i = 0; i < 20'000; ++i)
      bytes[random() % sizeof(ModelState)] = static_cast<unsigned char>(random());
    for (int i = 0; i < 2'000; ++i) bytes[random() % 50'000] = static_cast<unsigned char>(random());
    bench->advanceTo(bench->now() + 10'000'000);
    bench->earliestIdle(1);
    bench->utilisation(10);
    bench->finishedAt(0, random());
  }
  bench.state().streams[0].runs[0] = WorkRun{std::numeric_limits<double>::quiet_NaN(), -1, 5, 0, 9999, 0};
  bench->advanceTo(bench->now() + 10'000'000);
}

}  // namespace
}  // namespace berth::sim
