// The load generator's pure parts. That it loads a GPU is shown in simdriver/tests/load_run_test.cpp.
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "arrivals.h"
#include "gpu_load.h"
#include "options.h"
#include "report.h"

namespace berth::samples {
namespace {

using std::chrono::milliseconds;

TEST(LoadOptionsTest, ReadsWhatItSaysInItsHelp) {
  const LoadOptions options =
      parseLoadOptions({"--arrival=poisson", "--rate=50", "--streams=4", "--launch=graph", "--memory=64",
                        "--sms=8", "--kernel-us=250", "--json"});
  EXPECT_EQ(options.error, "");
  EXPECT_EQ(options.arrival, Arrival::Poisson);
  EXPECT_EQ(options.launch, Launch::Graph);
  EXPECT_EQ(options.streams, 4U);
  EXPECT_EQ(options.memory_mib, 64U);
  EXPECT_DOUBLE_EQ(options.kernel_us, 250);
  EXPECT_TRUE(options.json);
}

TEST(LoadOptionsTest, NamesWhatIsWrong) {
  for (const char* wrong : {"--streams=0", "--requests=0", "--streams=65", "--rate=x", "--launch=maybe",
                            "--arrival=", "memory=1", "--duration=0", "--kernel-us=nan", "--no-such"}) {
    EXPECT_EQ(parseLoadOptions({wrong}).error, std::string("wrong option: ") + wrong);
  }
  EXPECT_NE(parseLoadOptions({"--arrival=fixed"}).error, "");
  EXPECT_NE(parseLoadOptions({"--rate=5"}).error, "");
  EXPECT_NE(parseLoadOptions({"--off=5"}).error, "");
}

TEST(ArrivalsTest, AFixedRateIsEven) {
  Arrivals arrivals(false, 100, 1, {Nanoseconds(0), Nanoseconds(0)});
  EXPECT_EQ(arrivals.next(), milliseconds(10));
  EXPECT_EQ(arrivals.next(), milliseconds(20));
}

TEST(ArrivalsTest, RandomArrivalsHaveTheRateTheExponentialSpreadAndTheSeedsOrder) {
  Arrivals arrivals(true, 1000, 7, {Nanoseconds(0), Nanoseconds(0)});
  Arrivals same(true, 1000, 7, {Nanoseconds(0), Nanoseconds(0)});
  Arrivals other(true, 1000, 8, {Nanoseconds(0), Nanoseconds(0)});
  constexpr int kCount = 20000;
  double sum = 0;
  double squares = 0;
  bool differs = false;
  Nanoseconds before{0};
  for (int i = 0; i < kCount; ++i) {
    const Nanoseconds at = arrivals.next();
    EXPECT_EQ(same.next(), at);
    differs = differs || other.next() != at;
    const double gap = static_cast<double>((at - before).count()) / 1e6;
    sum += gap;
    squares += gap * gap;
    before = at;
  }
  const double mean = sum / kCount;
  EXPECT_NEAR(mean, 1.0, 0.03);
  EXPECT_NEAR(std::sqrt(squares / kCount - mean * mean), 1.0, 0.05);
  EXPECT_TRUE(differs);
}

TEST(ArrivalsTest, BurstsLeaveTheirPausesFree) {
  const Windows windows(milliseconds(30), milliseconds(70));
  EXPECT_EQ(windows.at(milliseconds(29)), milliseconds(29));
  EXPECT_EQ(windows.at(milliseconds(30)), milliseconds(100));
  EXPECT_EQ(windows.next(milliseconds(10)), milliseconds(10));
  EXPECT_EQ(windows.next(milliseconds(30)), milliseconds(100));
  EXPECT_EQ(windows.next(milliseconds(99)), milliseconds(100));
}

TEST(PercentileTest, IsTheNearestRank) {
  std::vector<double> values(100);
  std::iota(values.begin(), values.end(), 1);
  EXPECT_EQ(percentile(values, 50), 50);
  EXPECT_EQ(percentile(values, 99), 99);
  EXPECT_EQ(percentile(values, 100), 100);
  EXPECT_EQ(percentile({7}, 50), 7);
  EXPECT_EQ(percentile({}, 50), 0);
}

TEST(ReportTest, CountsWhatWasDone) {
  LoadOptions options;
  options.kernels = 2;
  options.kernel_us = 500;
  options.interval_ms = 500;
  const RunFacts facts{"Tesla \"T4\"", 40, 1, 1, 3};
  const Summary summary = summarise(options, facts, {{0.1, 4, 1}, {0.6, 2, 1}, {0.7, 3, 1}, {5, 1, 1}});
  EXPECT_EQ(summary.requests, 4U);
  EXPECT_DOUBLE_EQ(summary.throughput, 4);
  EXPECT_DOUBLE_EQ(summary.p50_ms, 2);
  EXPECT_DOUBLE_EQ(summary.max_ms, 4);
  EXPECT_DOUBLE_EQ(summary.work_s, 0.004);
  EXPECT_DOUBLE_EQ(summary.gpu_s, 0.004);
  EXPECT_EQ(summary.intervals, (std::vector<std::uint64_t>{1, 2}));
  const std::string json = asJson(options, facts, summary);
  EXPECT_NE(json.find(R"("device": "Tesla \"T4\"")"), std::string::npos) << json;
  EXPECT_NE(json.find(R"("latencyMs": {"p50": 2, "p90": 4, "p99": 4, "max": 4, "mean": 2.5})"),
            std::string::npos)
      << json;
  EXPECT_NE(asText(options, facts, summary).find("p50 2.000  p90 4.000"), std::string::npos);
}

TEST(LoadKernelTest, StatesItsCostWhereRealDriversDoNotLook) {
  EXPECT_NE(loadKernel(2.5e6).find("// berth-cost: ns=2500000\n"), std::string::npos);
}

}  // namespace
}  // namespace berth::samples
