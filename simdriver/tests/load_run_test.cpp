// samples/load on simulated GPUs: real processes, and the figures they must come to.
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "tests/support.h"

namespace berth::sim::testing {
namespace {

constexpr double kSeconds = 0.4;

/// A load of `options`, `kSeconds` long unless they say otherwise.
std::unique_ptr<Child> start(const std::vector<std::string>& options) {
  const std::string library = "LD_LIBRARY_PATH=" + (driverRoot() / "lib").string();
  std::vector<std::string> command{"env", library, LOAD_PROGRAM, "--json",
                                   "--duration=" + std::to_string(kSeconds)};
  command.insert(command.end(), options.begin(), options.end());
  return std::make_unique<Child>(command);
}

boost::json::value report(Child& load) {
  const std::string line = load.hear();
  EXPECT_FALSE(line.empty()) << "the load said nothing";
  EXPECT_EQ(load.end(), 0);
  return line.empty() ? boost::json::value(boost::json::object{}) : boost::json::parse(line);
}

boost::json::value run(const std::vector<std::string>& options) { return report(*start(options)); }

double number(const boost::json::value& report, const char* key) {
  return report.at(key).to_number<double>();
}

TEST(LoadRunTest, AClosedLoopDoesWorkOfTheStatedLengthOneAfterTheOther) {
  const Box box;
  const auto result = run({"--kernel-us=2000", "--requests=20", "--duration=60"});
  EXPECT_EQ(number(result, "requests"), 20);
  EXPECT_GE(result.at("latencyMs").at("p50").to_number<double>(), 2.0);
  // A busy machine makes the time around a request longer; the GPU never makes it shorter.
  EXPECT_GE(number(result, "gpuSeconds"), 20 * 0.00199);
  EXPECT_LE(number(result, "gpuSeconds"), number(result, "wallSeconds") + 0.001);
  EXPECT_NEAR(number(result, "workSeconds"), 0.04, 1e-9);
  EXPECT_EQ(result.at("sms").to_number<int>(), 40);
}

TEST(LoadRunTest, AnOpenLoopSendsWhatTheRateSays) {
  const Box box;
  const auto result = run({"--arrival=fixed", "--rate=100", "--kernel-us=500", "--sms=4", "--streams=2"});
  EXPECT_NEAR(number(result, "requests") + number(result, "stillDue"), kSeconds * 100, 2);
}

TEST(LoadRunTest, EveryKindOfLaunchDoesTheSameWork) {
  const Box box;
  for (const char* launch : {"plain", "graph", "cooperative"}) {
    const auto result = run({std::string("--launch=") + launch, "--kernels=4", "--kernel-us=500",
                             "--requests=5", "--duration=60"});
    EXPECT_EQ(number(result, "requests"), 5) << launch;
    EXPECT_GE(number(result, "gpuSeconds"), 5 * 0.00199) << launch;
  }
}

TEST(LoadRunTest, TheWorkingSetIsHeldWhileItRuns) {
  const Box box;
  const Nvml nvml;
  const std::uint64_t before = nvml.usedMib(nvml.device());
  const auto load = start({"--memory=1000", "--duration=20"});
  while (nvml.usedMib(nvml.device()) < before + 1000) {
    ASSERT_EQ(::kill(load->pid(), 0), 0);
  }
  EXPECT_EQ(::kill(load->pid(), SIGTERM), 0);
  EXPECT_EQ(report(*load).at("memoryMiB").to_number<int>(), 1000);
}

TEST(LoadRunTest, TwoLoadsShareAGpu) {
  const Box box;
  const auto first = start({"--kernel-us=2000", "--duration=0.6"});
  const auto second = start({"--kernel-us=2000", "--duration=0.6"});
  const double together = number(report(*first), "requests") + number(report(*second), "requests");
  EXPECT_LE(together, 0.6 / 0.002 * 1.3) << "more than one GPU can do, but for what runs before and after";
}

TEST(LoadRunTest, WhatCannotBeHadIsSaid) {
  const Box box;
  const auto load = start({"--memory=100000"});
  EXPECT_EQ(load->hear(), "");
  EXPECT_NE(load->end(), 0);
}

}  // namespace
}  // namespace berth::sim::testing
