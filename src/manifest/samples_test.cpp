// The published inputs (shared/samples, where they are) and our own examples, each against what it must mean.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "manifest/workload.h"

namespace berth::manifest {
namespace {

using testing::ElementsAre;

std::filesystem::path sharedFolder() {
  const char* named = std::getenv("BERTH_SHARED_DIR");
  return named != nullptr ? std::filesystem::path(named)
                          : std::filesystem::path(BERTH_SOURCE_DIR) / ".." / "shared";
}

std::string contents(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Manifest readFile(const std::filesystem::path& file) {
  auto read = parse(contents(file), "f");
  EXPECT_TRUE(read) << file << ": " << read.error().message;
  return read ? *std::move(read) : Manifest{};
}

class SamplesTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(sharedFolder() / "samples")) {
      GTEST_SKIP() << "no samples in " << sharedFolder() << "; set BERTH_SHARED_DIR";
    }
  }
  static Manifest sample(const std::string& name) { return readFile(sharedFolder() / "samples" / name); }
};

// One of the n-body Jobs as the article has it, apart from the places.
Workload nbodyJob(const std::string& suffix, const std::string& number, std::optional<int> percentage) {
  Workload job;
  job.name.value = job.original_name = "cuda-sample" + number + suffix;
  job.kind = Kind::Job;
  job.restart = RestartPolicy::Never;
  job.backoff_limit = 1;
  job.host_pid = job.host_ipc = true;
  Container container;
  container.name = "cuda-sample-container" + number;
  container.image = "nvidia/samples:nbody";
  container.command = {"/tmp/nbody"};
  container.args = {"-benchmark", "-i=1000"};
  container.env = {{"NVIDIA_VISIBLE_DEVICES", "0"}};
  container.gpu.visible = "0";
  if (percentage) {
    container.env.emplace_back("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", std::to_string(*percentage));
    container.gpu.thread_percentage.value = *percentage;
  }
  job.containers = {container};
  return job;
}

std::vector<Workload> withoutPlaces(std::vector<Workload> workloads) {
  for (Workload& workload : workloads) {
    workload.place = {};
    for (Container& container : workload.containers) container.gpu.place = {};
  }
  return workloads;
}

TEST_F(SamplesTest, A10TheTwoSharersAreExactlyTheArticlesJobs) {
  const Manifest m = sample("k8s/k8-gpusharing.yaml");
  EXPECT_THAT(withoutPlaces(m.workloads), ElementsAre(nbodyJob("", "1", {}), nbodyJob("", "2", {})));
  EXPECT_TRUE(m.warnings.empty());
}

TEST_F(SamplesTest, A11TheSharersWithTwentyPercentAreRead) {
  const Manifest m = sample("k8s/k8-gpusharing-mps20.ADAPTED.yaml");
  EXPECT_THAT(withoutPlaces(m.workloads),
              ElementsAre(nbodyJob("-mps20", "1", 20), nbodyJob("-mps20", "2", 20)));
  EXPECT_TRUE(m.warnings.empty());
}

TEST_F(SamplesTest, A12TheInferenceDeploymentAsksForOneWholeGpu) {
  const Manifest m = sample("k8s/deploy_infer.yaml");
  Workload wanted;
  wanted.name.value = wanted.original_name = "my-infer";
  wanted.kind = Kind::Deployment;
  wanted.labels = {{"app", "my-infer"}};
  Container container;
  container.name = "my-infer";
  container.image = "myregistry.azurecr.io/rollingstone/myinfer:1.0";
  container.ports = {Port{5001, 0, "tcp"}, Port{8883, 0, "tcp"}, Port{8888, 0, "tcp"}};
  container.gpu.whole = 1;
  wanted.containers = {container};
  EXPECT_THAT(withoutPlaces(m.workloads), ElementsAre(wanted));
  EXPECT_TRUE(m.warnings.empty());
}

TEST_F(SamplesTest, A10TheIotEdgeDeploymentHasTwoModulesOnGpu0) {
  const Manifest m = sample("iotedge/iotedge-gpu-sharing.deployment.json");
  std::vector<Workload> wanted;
  for (const char* name : {"cuda-sample1", "cuda-sample2"}) {
    Workload module;
    module.name.value = module.original_name = name;
    module.kind = Kind::IotEdgeModule;
    module.restart = RestartPolicy::Never;
    module.host_pid = module.host_ipc = true;
    Container container;
    container.name = name;
    container.image = "nvidia/samples:nbody";
    container.command = {"/bin/sh"};
    container.args = {"-c", "/tmp/nbody -benchmark -i=1000; while true; do echo no-op; sleep 10000;done"};
    container.env = {{"NVIDIA_VISIBLE_DEVICES", "0"}};
    container.gpu.visible = "0";
    module.containers = {container};
    wanted.push_back(module);
  }
  EXPECT_EQ(withoutPlaces(m.workloads), wanted);
  ASSERT_EQ(m.warnings.size(), 3U);  // edgeAgent, edgeHub, routes.
  EXPECT_EQ(m.warnings[0].message, "is not run here");
}

TEST_F(SamplesTest, A12TheGpuResourcesOfCreateOptionsAreRead) {
  const std::string options = contents(sharedFolder() / "samples/iotedge/gpu-resources.createOptions.json");
  const auto m =
      parse(R"({"$edgeAgent":{"properties.desired":{"schemaVersion":"1.1","modules":{"m":{"type":"docker",
                          "settings":{"image":"i","createOptions":)" +
                options + "}}}}}}",
            "f");
  ASSERT_TRUE(m) << m.error().message;
  const Container& c = m->workloads[0].containers[0];
  EXPECT_EQ(c.gpu.whole, 2);
  EXPECT_TRUE(c.privileged);
  EXPECT_THAT(c.ports, ElementsAre(Port{50051, 50051, "tcp"}));
  EXPECT_TRUE(m->warnings.empty());
}

Manifest example(const std::string& name) {
  return readFile(std::filesystem::path(BERTH_SOURCE_DIR) / "examples" / name);
}

TEST(ExamplesTest, EveryExampleIsRead) {
  int files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(BERTH_SOURCE_DIR) / "examples")) {
    const std::string extension = entry.path().extension();
    if (extension != ".yaml" && extension != ".json") continue;
    ++files;
    for (const Warning& warning : readFile(entry.path()).warnings) {
      EXPECT_EQ(warning.message, "is not run here") << text(warning.place);
    }
  }
  EXPECT_GE(files, 5);
}

TEST(ExamplesTest, TheyAskForWhatTheirNamesSay) {
  const Manifest sharers = example("two-sharers.yaml");
  ASSERT_EQ(sharers.workloads.size(), 2U);
  EXPECT_EQ(sharers.workloads[0].containers.at(0).gpu.visible, "0");
  EXPECT_EQ(sharers.workloads[1].containers.at(0).gpu.visible, "0");
  EXPECT_EQ(example("mps-20-percent.yaml").workloads.at(0).containers.at(0).gpu.thread_percentage,
            Percent{20});
  EXPECT_EQ(example("whole-gpu.yaml").workloads.at(0).containers.at(0).gpu.whole, 1);
  const Manifest fractions = example("fractions.yaml");
  ASSERT_EQ(fractions.workloads.size(), 2U);
  EXPECT_EQ(fractions.workloads[0].containers.at(0).gpu.compute, Percent{25});
  EXPECT_FALSE(fractions.workloads[0].containers.at(0).gpu.best_effort);
  EXPECT_TRUE(fractions.workloads[1].containers.at(0).gpu.best_effort);
  EXPECT_EQ(example("edge-modules.json").workloads.size(), 2U);
}

}  // namespace
}  // namespace berth::manifest
