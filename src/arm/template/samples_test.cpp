// The public templates in ../shared/samples/arm, unchanged, with their parameter files.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arm/template/testing/workbench.h"

namespace berth::arm_template {
namespace {

using ::testing::ElementsAre;
using testing::FakeRuntime;
using testing::groupObject;
using testing::jsonOf;
using testing::kGroupPrefix;

std::filesystem::path samplesFolder() {
  const char* named = std::getenv("BERTH_SHARED_DIR");
  const std::filesystem::path shared = named != nullptr
                                           ? std::filesystem::path(named)
                                           : std::filesystem::path(BERTH_SOURCE_DIR) / ".." / "shared";
  return shared / "samples" / "arm";
}

class SamplesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(samplesFolder())) GTEST_SKIP() << "no samples beside the source tree";
  }

  static std::string contents(const std::string& name) {
    std::ifstream in(samplesFolder() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }

  /// `filled` are values for what the public parameter file leaves empty.
  static Plan planned(const std::string& declared, const std::string& parameters,
                      const json::object& filled = {}) {
    auto given = readParameterFile(contents(parameters), parameters);
    if (!given) throw std::runtime_error(given.error().message);
    for (const json::key_value_pair& each : filled) (*given)[each.key()] = each.value();
    auto plan = testing::planOf(contents(declared), *given);
    if (!plan) throw std::runtime_error(plan.error().message);
    return *std::move(plan);
  }

  static json::value bodyOf(const Plan& plan, std::size_t i, Runtime* runtime = nullptr) {
    auto body = resourceBody(plan, plan.resources[i], runtime);
    if (!body) throw std::runtime_error(body.error().message);
    return *std::move(body);
  }
};

TEST_F(SamplesTest, CreateVmMakesAnInterfaceAndThenAGpuVmOnIt) {
  const Plan plan = planned("CreateVM.json", "CreateVM.gpu.parameters.json");
  EXPECT_THAT(plan.order, ElementsAre(0, 1));
  const std::string nic = kGroupPrefix + std::string("Microsoft.Network/networkInterfaces/nic5");
  EXPECT_EQ(plan.resources[0].id, nic);
  EXPECT_THAT(plan.resources[1].depends_on, ElementsAre(0));

  const json::value ip = bodyOf(plan, 0).at("properties").at("ipConfigurations").at(0).at("properties");
  EXPECT_EQ(ip, jsonOf(R"({"privateIPAllocationMethod": "Dynamic", "privateIPAddress": "",
    "subnet": {"id": "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/aserg/providers/Microsoft.Network/virtualNetworks/ASEVNET/subnets/ASEVNETsubNet"}})"));
  const json::value vm = bodyOf(plan, 1).at("properties");
  EXPECT_EQ(vm.at("hardwareProfile").at("vmSize"), "Standard_NC4as_T4_v3");
  EXPECT_EQ(vm.at("networkProfile").at("networkInterfaces").at(0).at("id"), json::value(nic));
  EXPECT_EQ(
      vm.at("osProfile"),
      jsonOf(R"({"computerName": "VM1", "adminUsername": "Administrator", "adminPassword": "Password1"})"));
}

TEST_F(SamplesTest, DownloadAndCreateImageWaitsForEachStepAndCleansUpLast) {
  const Plan plan = planned("DownloadAndCreateImage.json", "DownloadAndCreateImage.parameters.json",
                            {{"sourceBlobUri", "https://x/i.vhd"},
                             {"targetStorageAccountName", "SA1"},
                             {"targetContainerName", "c"},
                             {"ingestionJobName", "job1"},
                             {"imageName", "image1"},
                             {"osType", "Linux"}});
  EXPECT_THAT(plan.order, ElementsAre(0, 1, 2, 3));
  FakeRuntime runtime;
  for (const PlannedResource& each : plan.resources) {
    runtime.resources[each.id] = jsonOf(
        R"({"primaryEndpoints": {"blob": "https://a.blob.box.example/"}, "targetImageBlobUri": "https://a.blob.box.example/c/i.vhd"})");
  }
  runtime.lists["listKeys"] = jsonOf(R"({"keys": [{"value": "key=="}]})");
  const json::value job = bodyOf(plan, 1, &runtime).at("properties");
  const std::string connection(job.at("TargetStorageAccountConnectionString").as_string());
  EXPECT_THAT(connection,
              ::testing::StartsWith("DefaultEndpointsProtocol=http;EndpointSuffix=box.example;AccountName="));
  EXPECT_THAT(connection, ::testing::EndsWith(";AccountName=sa1;AccountKey=key=="));
  const json::value image = bodyOf(plan, 2, &runtime).at("properties").at("storageProfile").at("osDisk");
  EXPECT_EQ(image.at("blobUri"), "https://a.blob.box.example/c/i.vhd");

  const GroupReader groups = [](const std::string& name) -> Result<json::object> {
    return groupObject(name);
  };
  const auto clean_up = nestedPlan(plan, plan.resources[3], &runtime, {}, groups);
  ASSERT_TRUE(clean_up) << clean_up.error().message;
  ASSERT_EQ(clean_up->resources.size(), 1U);
  EXPECT_EQ(clean_up->resources[0].id, plan.resources[1].id);
  EXPECT_EQ(bodyOf(*clean_up, 0).at("kind"), "BlobCleanup");
}

TEST_F(SamplesTest, CreateImageFindsParametersWhateverTheirCase) {
  const Plan plan = planned("CreateImage.json", "CreateImage.parameters.json");
  ASSERT_EQ(plan.resources.size(), 1U);
  EXPECT_EQ(plan.resources[0].type, "Microsoft.Compute/images");
  EXPECT_EQ(bodyOf(plan, 0).at("properties").at("storageProfile").at("osDisk").at("osState"), "Generalized");
}

TEST_F(SamplesTest, TheGpuExtensionGetsItsSettingsAndTheGroupsLocation) {
  for (const char* parameters :
       {"addGPUExtLinuxVM2205.parameters.json", "addGPUExtWindowsVM2205.parameters.json"}) {
    const Plan plan = planned("addGPUextensiontoVM.json", parameters);
    ASSERT_EQ(plan.resources.size(), 1U);
    EXPECT_EQ(plan.resources[0].type, "Microsoft.Compute/virtualMachines/extensions");
    EXPECT_EQ(plan.resources[0].api_version, "");
    const json::value body = bodyOf(plan, 0);
    EXPECT_EQ(body.at("location"), "dbelocal");
    EXPECT_EQ(body.at("properties").at("publisher"), "Microsoft.HpcCompute");
    EXPECT_TRUE(body.at("properties").at("settings").is_object());
  }
}

}  // namespace
}  // namespace berth::arm_template
