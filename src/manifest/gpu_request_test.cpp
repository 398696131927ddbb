#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "manifest/test_text.h"
#include "manifest/workload.h"

namespace berth::manifest {
namespace {

using testing::HasSubstr;

GpuRequest gpuOf(const std::string& text) {
  const auto read = parse(text, "f.yaml");
  EXPECT_TRUE(read) << read.error().message;
  return read ? read->workloads.at(0).containers.at(0).gpu : GpuRequest{};
}

void expectRefused(const std::string& text, const std::string& reason) {
  const Error error = errorOf(text);
  EXPECT_EQ(error.code, ErrorCode::Refused) << text << error.message;
  EXPECT_EQ(error.reason, reason) << text << error.message;
  ASSERT_EQ(error.details.size(), 1U);
  EXPECT_FALSE(error.details[0].remedy.empty());
}

TEST(GpuRequestTest, A10AnIndexOrAUuidNamesOneGpu) {
  EXPECT_EQ(gpuOf(podWithEnv("NVIDIA_VISIBLE_DEVICES", "0")).visible, "0");
  EXPECT_EQ(gpuOf(podWithEnv("NVIDIA_VISIBLE_DEVICES", "12")).visible, "12");
  EXPECT_EQ(gpuOf(podWithEnv("NVIDIA_VISIBLE_DEVICES", "GPU-5f3c-a0")).visible, "GPU-5f3c-a0");
  EXPECT_EQ(gpuOf(podWithEnv("NVIDIA_VISIBLE_DEVICES", "all")).visible, "all");
}

TEST(GpuRequestTest, A10NoneVoidAndEmptyAskForNoGpu) {
  for (const char* value : {"none", "void", ""}) {
    EXPECT_FALSE(gpuOf(podWithEnv("NVIDIA_VISIBLE_DEVICES", value)).any()) << value;
  }
}

TEST(GpuRequestTest, A10SeveralGpusByNameAreRefusedAndTheMessageSaysSo) {
  for (const char* value : {"0,1", "0,0", "GPU-aa,GPU-bb", "all,0"}) {
    expectRefused(podWithEnv("NVIDIA_VISIBLE_DEVICES", value), "MultipleGpusByName");
  }
  const Error error = errorOf(podWithEnv("NVIDIA_VISIBLE_DEVICES", "0,1"));
  EXPECT_THAT(error.message, HasSubstr("one container may name one GPU"));
  EXPECT_THAT(error.message, HasSubstr("f.yaml:9:"));
  EXPECT_THAT(error.message, HasSubstr("spec.containers[0].env[0].value"));
}

TEST(GpuRequestTest, A10WhatIsNoGpusNameIsRefused) {
  for (const char* value : {"-1", " 0", "0 ", "00", "10000", "GPU-", "GPU-xyz", "MIG-1", "first", "ALL"}) {
    expectRefused(podWithEnv("NVIDIA_VISIBLE_DEVICES", value), "InvalidVisibleDevices");
  }
}

TEST(GpuRequestTest, A11TheThreadPercentageIsAWholeNumberFrom1To100) {
  const auto with = [](const std::string& percent) {
    return podWith(
        "env:\n- {name: NVIDIA_VISIBLE_DEVICES, value: \"0\"}\n- {name: CUDA_MPS_ACTIVE_THREAD_PERCENTAGE, "
        "value: \"" +
        percent + "\"}");
  };
  EXPECT_EQ(gpuOf(with("1")).thread_percentage, Percent{1});
  EXPECT_EQ(gpuOf(with("100")).thread_percentage, Percent{100});
  for (const char* bad :
       {"0", "101", "20%", "", "20.5", " 20", "20 ", "-20", "+20", "0x14", "99999999999999999999"}) {
    expectRefused(with(bad), "InvalidThreadPercentage");
  }
}

TEST(GpuRequestTest, A11APercentageWithoutAGpuIsAWarning) {
  const auto read = parse(podWithEnv("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "20"), "f");
  ASSERT_TRUE(read);
  ASSERT_EQ(read->warnings.size(), 1U);
  EXPECT_EQ(read->warnings[0].place.path, "spec.containers[0].env[0].value");
}

TEST(GpuRequestTest, A11TheVariablesStayInTheEnvironment) {
  const auto read = parse(podWithEnv("NVIDIA_VISIBLE_DEVICES", "0"), "f");
  ASSERT_TRUE(read);
  EXPECT_THAT(read->workloads[0].containers[0].env,
              testing::ElementsAre(testing::Pair("NVIDIA_VISIBLE_DEVICES", "0")));
}

TEST(GpuRequestTest, A12WholeGpusAreCounted) {
  EXPECT_EQ(gpuOf(podWithLimits("{nvidia.com/gpu: 2}")).whole, 2);
  EXPECT_EQ(gpuOf(podWithLimits("{nvidia.com/gpu: \"1\"}")).whole, 1);
  EXPECT_FALSE(gpuOf(podWithLimits("{nvidia.com/gpu: 0}")).any());
  EXPECT_EQ(gpuOf(podWith("resources: {limits: {nvidia.com/gpu: 1}, requests: {nvidia.com/gpu: 1}}")).whole,
            1);
}

TEST(GpuRequestTest, A12CountsThatAreNotWholeAreRefused) {
  for (const char* bad : {"-1", "0.5", "500m", "one", "\"\"", "true", "[1]", "{}", "9999999999", "1e30"}) {
    expectRefused(podWithLimits("{nvidia.com/gpu: " + std::string(bad) + "}"), "InvalidGpuCount");
  }
}

TEST(GpuRequestTest, A12ARequestMustEqualItsLimit) {
  expectRefused(podWith("resources: {limits: {nvidia.com/gpu: 2}, requests: {nvidia.com/gpu: 1}}"),
                "InvalidGpuCount");
  expectRefused(podWith("resources: {requests: {nvidia.com/gpu: 1}}"), "InvalidGpuCount");
}

TEST(GpuRequestTest, B14SharesHaveTwoNames) {
  const GpuRequest ours = gpuOf(podWithLimits("{berth.dev/gpu-memory: 4096, berth.dev/gpu-compute: 25}"));
  EXPECT_EQ(ours.memory, MiB{4096});
  EXPECT_EQ(ours.compute, Percent{25});
  const GpuRequest theirs = gpuOf(podWithLimits("{nvidia.com/gpumem: 4096, nvidia.com/gpucores: 25}"));
  EXPECT_EQ(theirs.memory, ours.memory);
  EXPECT_EQ(theirs.compute, ours.compute);
  EXPECT_EQ(gpuOf(podWithLimits("{berth.dev/gpu-memory: 5, nvidia.com/gpumem: 5}")).memory, MiB{5});
  expectRefused(podWithLimits("{berth.dev/gpu-memory: 5, nvidia.com/gpumem: 6}"), "ConflictingGpuRequest");
  expectRefused(podWithLimits("{berth.dev/gpu-compute: 5, nvidia.com/gpucores: 6}"), "ConflictingGpuRequest");
}

TEST(GpuRequestTest, B14SharesAreWholeNumbersInTheirRange) {
  EXPECT_EQ(gpuOf(podWithLimits("{berth.dev/gpu-compute: 100}")).compute, Percent{100});
  for (const char* bad : {"0", "101", "-1", "0.5", "20%", "1k", "x", "[]"}) {
    expectRefused(podWithLimits("{berth.dev/gpu-compute: " + std::string(bad) + "}"), "InvalidShare");
  }
  EXPECT_EQ(gpuOf(podWithLimits("{berth.dev/gpu-memory: 2147483647}")).memory, MiB{2147483647});
  for (const char* bad : {"0", "2147483648", "4Gi", "-1"}) {
    expectRefused(podWithLimits("{berth.dev/gpu-memory: " + std::string(bad) + "}"), "InvalidShare");
  }
}

TEST(GpuRequestTest, B13TwoWaysInOneContainerAreRefused) {
  const std::string env = "env: [{name: NVIDIA_VISIBLE_DEVICES, value: \"0\"}]\n";
  expectRefused(podWith(env + "resources: {limits: {nvidia.com/gpu: 1}}"), "ConflictingGpuRequest");
  expectRefused(podWithLimits("{nvidia.com/gpu: 1, berth.dev/gpu-memory: 5}"), "ConflictingGpuRequest");
  expectRefused(podWithLimits("{nvidia.com/gpu: 1, nvidia.com/gpucores: 5}"), "ConflictingGpuRequest");
  expectRefused(podWith("env: [{name: NVIDIA_VISIBLE_DEVICES, value: none}]\nresources: {limits: "
                        "{berth.dev/gpu-memory: 5}}"),
                "ConflictingGpuRequest");
}

TEST(GpuRequestTest, B14AShareMayNameItsGpu) {
  const GpuRequest gpu = gpuOf(podWith(
      "env: [{name: NVIDIA_VISIBLE_DEVICES, value: \"1\"}]\nresources: {limits: {berth.dev/gpu-memory: 5}}"));
  EXPECT_EQ(gpu.visible, "1");
  EXPECT_EQ(gpu.memory, MiB{5});
}

TEST(GpuRequestTest, B15BestEffortIsAnAnnotationOrALabel) {
  const auto with = [](const std::string& metadata) {
    return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  " + metadata +
           "\nspec:\n  containers:\n  - {name: c, image: i, resources: {limits: {berth.dev/gpu-memory: "
           "5}}}\n";
  };
  EXPECT_TRUE(gpuOf(with("annotations: {berth.dev/enforcement: best-effort}")).best_effort);
  EXPECT_TRUE(gpuOf(with("labels: {berth.dev/enforcement: best-effort}")).best_effort);
  EXPECT_FALSE(gpuOf(with("annotations: {berth.dev/enforcement: strict}")).best_effort);
  EXPECT_FALSE(gpuOf(with("labels: {a: b}")).best_effort);
  EXPECT_EQ(errorOf(with("annotations: {berth.dev/enforcement: maybe}")).code, ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace berth::manifest
