#include "guard/pacing.h"

#include <algorithm>
#include <memory>

#include <gtest/gtest.h>

#include "guard/launch.h"

namespace berth::guard {
namespace {

constexpr std::uint64_t kMs = 1'000'000;

// ---- A clock and a driver of the test's own: what is launched takes g_kernel_ns, one after another ----

std::uint64_t g_now;
std::uint64_t g_busy_until;
std::uint64_t g_kernel_ns;
double g_stretch;  // What events see of a launch: more than 1 when others run in between
std::uint64_t g_event_at[64];
int g_context;

CUresult currentContext(CUcontext* out) {
  *out = reinterpret_cast<CUcontext>(&g_context);
  return CUDA_SUCCESS;
}
CUresult createEvent(CUevent* out, unsigned) {
  static std::uintptr_t next = 1;
  *out = reinterpret_cast<CUevent>(next++ % 64);  // NOLINT(performance-no-int-to-ptr): a number as a handle
  return CUDA_SUCCESS;
}
CUresult destroyEvent(CUevent) { return CUDA_SUCCESS; }
std::uint64_t& timeOf(CUevent event) { return g_event_at[reinterpret_cast<std::uintptr_t>(event)]; }
CUresult recordEvent(CUevent event, CUstream) {
  timeOf(event) = std::max(g_now, g_busy_until);
  return CUDA_SUCCESS;
}
CUresult queryEvent(CUevent event) { return timeOf(event) <= g_now ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY; }
CUresult elapsed(float* milliseconds, CUevent start, CUevent stop) {
  *milliseconds = static_cast<float>(static_cast<double>(timeOf(stop) - timeOf(start)) / 1e6 * g_stretch);
  return CUDA_SUCCESS;
}
CUresult runKernel() {
  g_busy_until = std::max(g_now, g_busy_until) + g_kernel_ns;
  return CUDA_SUCCESS;
}

constexpr Clock kTestClock{[]() noexcept { return g_now; }, []() noexcept { return g_now; },
                           [](std::uint64_t nanoseconds) noexcept { g_now += nanoseconds; }};

class PacingTest : public testing::Test {
 protected:
  PacingTest() {
    g_now = 1'000'000 * kMs;
    g_busy_until = 0;
    g_kernel_ns = kMs;
    g_stretch = 1;
    initialiseUsage(usage(), 1);
    process_->limits = limits_.get();
    process_->usage = &usage();
    process_->clock = &kTestClock;
    process_->serial = ++serials_;
    process_->driver.ctxGetCurrent = &currentContext;
    process_->driver.eventCreate = &createEvent;
    process_->driver.eventDestroy = &destroyEvent;
    process_->driver.eventRecord = &recordEvent;
    process_->driver.eventQuery = &queryEvent;
    process_->driver.eventElapsedTime = &elapsed;
  }
  UsageRegion& usage() { return *reinterpret_cast<UsageRegion*>(space_.get()); }
  GpuLimits& limits() { return limits_->gpus[0]; }
  void grant(std::uint32_t permille) { limits().compute_permille = permille; }

  void launchOnce(std::uint64_t key = 10) {
    const Permit permit = admit(*process_, 0, Rate::of(limits()), key, nullptr);
    const CUresult result = runKernel();
    if (permit.measurement != nullptr) finish(*process_, permit, nullptr, result);
  }
  /// Launches as fast as it may for so long; the share of the time that the kernels took, in permille.
  std::uint64_t shareOver(std::uint64_t milliseconds) {
    const std::uint64_t began = g_now;
    std::uint64_t launches = 0;
    for (; g_now - began < milliseconds * kMs; ++launches) {
      launchOnce();
      g_now += 10'000;
    }
    return launches * g_kernel_ns * 1000 / (g_now - began);
  }

  static inline std::uint32_t serials_ = 1'000'000;
  std::unique_ptr<LimitsRegion> limits_ = std::make_unique<LimitsRegion>();
  std::unique_ptr<GpuUsage[]> space_{new GpuUsage[usageBytes(1) / sizeof(GpuUsage) + 1]()};
  std::unique_ptr<Process> process_ = std::make_unique<Process>();
};

TEST_F(PacingTest, AShareIsHeldOverASecond) {
  for (const std::uint32_t permille : {100U, 333U, 500U, 900U}) {
    grant(permille);
    shareOver(200);  // The burst is spent
    EXPECT_NEAR(static_cast<double>(shareOver(1000)), permille, permille * 0.02 + 2) << permille;
  }
}

TEST_F(PacingTest, ARaisedShareCountsAtOnceHoweverMuchIsOwed) {
  grant(10);
  g_kernel_ns = 100 * kMs;
  launchOnce();
  launchOnce();  // Owes ten seconds for each by now
  g_kernel_ns = kMs;
  grant(500);
  const std::uint64_t began = g_now;
  launchOnce(20);
  EXPECT_LT(g_now - began, 1000 * kMs);
}

TEST_F(PacingTest, TimeThatOthersRanBetweenTheEventsIsNotCharged) {
  grant(500);
  shareOver(100);
  g_stretch = 3;  // From now on most measurements hold two strangers' slices
  std::uint64_t launches = 0;
  const std::uint64_t began = g_now;
  for (; g_now - began < 1000 * kMs; ++launches) {
    g_stretch = launches % 10 == 0 ? 1 : 3;
    launchOnce();
    g_now += 10'000;
  }
  EXPECT_NEAR(static_cast<double>(launches * g_kernel_ns * 1000) / static_cast<double>(g_now - began), 500,
              30);
}

TEST_F(PacingTest, TheDaemonsFeedbackScalesWhatIsCharged) {
  grant(500);
  limits().charge_permille = 2000;
  shareOver(200);
  EXPECT_NEAR(static_cast<double>(shareOver(1000)), 250, 10);
}

TEST_F(PacingTest, ABurstAfterAPauseIsBounded) {
  grant(100);
  limits().burst_us = 10'000;
  shareOver(500);
  g_now += 60'000 * kMs;
  const std::uint64_t began = g_now;
  int at_once = 0;
  while (g_now - began < kMs) {
    launchOnce();
    g_now += 1000;
    ++at_once;
  }
  EXPECT_GE(at_once, 10);
  EXPECT_LE(at_once, 13);
}

TEST_F(PacingTest, ASecondLaunchOfAnUnknownKernelWaitsForTheMeasurementOfTheFirst) {
  grant(900);
  g_kernel_ns = 50 * kMs;
  const std::uint64_t began = g_now;
  launchOnce();
  EXPECT_EQ(g_now, began);
  launchOnce();
  EXPECT_GE(g_now - began, 50 * kMs);
}

TEST_F(PacingTest, AKernelThatNeverEndsHoldsUpTheNextForASecondAtMost) {
  grant(900);
  g_kernel_ns = 3'600'000 * kMs;
  launchOnce();
  const std::uint64_t began = g_now;
  const Permit permit = admit(*process_, 0, Rate::of(limits()), 10, nullptr);
  static_cast<void>(permit);
  EXPECT_LE(g_now - began, 3000 * kMs);
}

TEST_F(PacingTest, NoPacingWhileAloneWhereThePolicySaysSo) {
  grant(100);
  limits().pacing = kPaceWhenContended;
  limits().contenders = 1;
  EXPECT_FALSE(Rate::of(limits()).limited());
  limits().contenders = 2;
  EXPECT_TRUE(Rate::of(limits()).limited());
}

TEST_F(PacingTest, WhoHasToWaitWaitsForItsTurn) {
  limits().turn = 201;
  grant(300);  // Its turn: 10 to 25 ms of each 50
  const Rate rate = Rate::of(limits());
  EXPECT_EQ(rate.nextTurn(1000 * kMs + 5 * kMs), 1000 * kMs + 10 * kMs);
  EXPECT_EQ(rate.nextTurn(1000 * kMs + 10 * kMs), 1000 * kMs + 10 * kMs);
  EXPECT_EQ(rate.nextTurn(1000 * kMs + 24 * kMs), 1000 * kMs + 24 * kMs);
  EXPECT_EQ(rate.nextTurn(1000 * kMs + 25 * kMs), 1000 * kMs + 60 * kMs);
  shareOver(200);
  EXPECT_NEAR(static_cast<double>(shareOver(1000)), 300, 10);
}

TEST_F(PacingTest, HeldBackTimeAndGpuTimeAreReported) {
  grant(200);
  shareOver(1000);
  const Counters& counters = usage().gpu(0).counters[0];
  EXPECT_NEAR(static_cast<double>(counters.gpu_ns.load()), 220e6, 40e6);
  EXPECT_GT(counters.throttled_ns.load(), 700 * kMs);
  EXPECT_GT(counters.launches.load(), 180U);
}

TEST(CostTableTest, KernelsThatShareAPlaceReplaceEachOther) {
  const auto table = std::make_unique<CostTable>();
  table->of(2).add(1000, 1);
  EXPECT_TRUE(table->of(2).known());
  for (std::uint64_t key = 4; key < 200'000; key += 2) table->of(key).add(5, 1);
  EXPECT_LE(table->of(2).estimate(false), 1000U);
}

}  // namespace
}  // namespace berth::guard
