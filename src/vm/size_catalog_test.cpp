#include "vm/size_catalog.h"

#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "vm/admission.h"

namespace berth::vm {
namespace {

const std::vector<std::string> kOneT4{"Tesla T4"};
const std::vector<std::string> kTwoT4{"Tesla T4", "Tesla T4"};
const std::vector<std::string> kOneA2{"NVIDIA A2"};

SizeCatalog installed() {
  std::ifstream in(std::string(BERTH_SOURCE_DIR) + "/packaging/sizes.json");
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  auto catalog = SizeCatalog::parse(text, "sizes.json");
  EXPECT_TRUE(catalog) << catalog.error().message;
  return *catalog;
}

TEST(SizeCatalogTest, TheInstalledTableHasTheAppliancesNumbers) {
  const SizeCatalog catalog = installed();
  EXPECT_EQ(catalog.all().size(), 76U);
  const VmSize* size = catalog.find("Standard_NC16as_T4_v3");
  ASSERT_NE(size, nullptr);
  EXPECT_EQ(size->vcpus, 16);
  EXPECT_EQ(size->memory, MiB{110 * 1024});
  EXPECT_EQ(size->gpus, 1);
  EXPECT_EQ(catalog.find("standard_nc32as_2a2_v1")->gpus, 2);
  EXPECT_EQ(catalog.find("Standard_F12_HPN_A2")->memory, MiB{24 * 1024});
  EXPECT_EQ(catalog.find("Standard_D1_v2")->memory, MiB{3584});
}

TEST(SizeCatalogTest, A6OnlySizesOfTheFittedModelAreOffered) {
  for (const VmSize& size : installed().offered(kOneT4)) {
    EXPECT_TRUE(size.gpus == 0 || (size.gpu_model == "T4" && size.gpus == 1)) << size.name;
  }
  EXPECT_TRUE(installed().choose("Standard_D2_v2", {}));
}

TEST(SizeCatalogTest, A6ASizeOfAnotherModelIsRefused) {
  const auto refused = installed().choose("Standard_NC4as_A2", kOneT4);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Refused);
  EXPECT_EQ(refused.error().reason, "GpuModelMismatch");
  EXPECT_NE(refused.error().message.find("Tesla T4"), std::string::npos);
}

TEST(SizeCatalogTest, A2ASizeWithMoreGpusThanTheBoxIsRefused) {
  EXPECT_EQ(installed().choose("Standard_NC32as_2T4_v1", kOneT4).error().reason, "InsufficientGpu");
  EXPECT_TRUE(installed().choose("Standard_NC32as_2T4_v1", kTwoT4));
}

TEST(SizeCatalogTest, AModelIsAWordOfTheGpusName) {
  EXPECT_TRUE(isGpuModel("NVIDIA A100-PCIE-40GB", "A100"));
  EXPECT_FALSE(isGpuModel("NVIDIA RTX A2000", "A2"));
}

TEST(SizeCatalogTest, AnUnknownSizeIsNotFound) {
  EXPECT_EQ(installed().choose("Standard_Nope", kOneT4).error().reason, "UnknownSize");
}

TEST(SizeCatalogTest, B6AUserSizeCanBeAddedStoredAndRemoved) {
  SizeCatalog catalog = installed();
  VmSize size;
  size.name = "tiny";
  size.vcpus = 1;
  size.memory = MiB{256};
  ASSERT_TRUE(catalog.add(size));
  EXPECT_EQ(catalog.add(size).error().code, ErrorCode::Conflict);
  SizeCatalog again = installed();
  ASSERT_TRUE(again.addStored(catalog.storedText(), "stored"));
  EXPECT_EQ(again.all(), catalog.all());
  EXPECT_EQ(again.remove("tiny", {"Tiny"}).error().reason, "SizeInUse");
  EXPECT_TRUE(again.remove("tiny", {}));
  EXPECT_EQ(again.remove("Standard_D1_v2", {}).error().reason, "SizeBuiltin");
}

TEST(SizeCatalogTest, CustomSizesOfTheFittedModelPrintAsTheApplianceDoes) {
  EXPECT_EQ(
      printCustomSizes(installed().customSizes(kOneA2), CustomSizesStyle::Appliance),
      "[{'Name':'Custom_NonGPU','Cores':8,'MemoryMb':14336},{'Name':'Custom_GPU_A2','Cores':8,'MemoryMb':"
      "28672,'GpuCount': 1}]");
}

TEST(SizeCatalogTest, ACustomSizeInUseIsFrozenAndNothingOfTheChangeIsDone) {
  SizeCatalog catalog = installed();
  const auto changes = parseCustomSizes(
      "[{'Name':'Custom_NonGPU','Cores':4,'MemoryMb':4096},{'Name':'Custom_GPU_T4_v3','Cores':8,'MemoryMb':"
      "28672,"
      "'GpuCount':2}]");
  ASSERT_TRUE(changes);
  const SizeCatalog before = catalog;
  EXPECT_EQ(catalog.setCustomSizes(*changes, kTwoT4, {"Custom_GPU_T4_v3"}).error().reason, "SizeInUse");
  EXPECT_EQ(catalog.all(), before.all());
  EXPECT_EQ(catalog.setCustomSizes(*changes, kOneT4, {}).error().reason, "InsufficientGpu");
  ASSERT_TRUE(catalog.setCustomSizes(*changes, kTwoT4, {}));
  EXPECT_EQ(catalog.find("Custom_GPU_T4_v3")->gpus, 2);
  EXPECT_EQ(catalog.find("Custom_GPU_T4_v3")->gpu_memory_gib, 32);
  EXPECT_EQ(catalog.find("Custom_NonGPU")->memory, MiB{4096});
}

TEST(CustomSizesTest, WhatIsNotTheTextIsRefusedWithThePlace) {
  for (const char* text :
       {"", "[", "{}", "[{'Name':'x'}]", "[{'Name':'x','Cores':0,'MemoryMb':1}]",
        "[{'Name':'x','Cores':1,'MemoryMb':1,'Disk':1}]", "[{'Name':'a b','Cores':1,'MemoryMb':1}]",
        "[{'Name':'x','Cores':1,'MemoryMb':1},{'Name':'x','Cores':1,'MemoryMb':1}]", "[] []"}) {
    const auto parsed = parseCustomSizes(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::InvalidArgument);
    EXPECT_EQ(parsed.error().message.rfind("custom sizes: ", 0), 0U) << parsed.error().message;
  }
}

TEST(SizeCatalogTest, ABadCatalogueNamesThePlace) {
  const auto bad = SizeCatalog::parse(R"({"sizes":[{"name":"a","vcpus":"x"}]})", "sizes.json");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "sizes.json: sizes[0].vcpus: is not a whole number");
}

TEST(AdmissionTest, MemoryFitsToTheLastMebibyteAndNoFurther) {
  const HostCapacity host{40, MiB{10'000}};
  AdmissionSettings settings;
  settings.host_memory = MiB{1000};
  settings.kubernetes_memory = MiB{500};
  settings.overhead_per_vm = MiB{100};
  const std::vector<VmDemand> others{{"old", 4, MiB{4000}}};
  EXPECT_TRUE(admit({"new", 4, MiB{4300}}, host, settings, others));
  const auto refused = admit({"new", 4, MiB{4301}}, host, settings, others);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "InsufficientMemory");
  EXPECT_NE(refused.error().message.find("4401 MiB"), std::string::npos) << refused.error().message;
  ASSERT_EQ(refused.error().details.size(), 1U);
  EXPECT_EQ(refused.error().details[0].target, "VM old");
}

TEST(AdmissionTest, A24thVmRunsAndA25thDoesNot) {
  std::vector<VmDemand> others;
  for (int i = 0; i < 23; ++i) others.push_back({"vm" + std::to_string(i), 1, MiB{1}});
  const HostCapacity host{100, MiB{100'000}};
  EXPECT_TRUE(admit({"new", 1, MiB{1}}, host, {}, others));
  others.push_back({"vm23", 1, MiB{1}});
  EXPECT_EQ(admit({"new", 1, MiB{1}}, host, {}, others).error().reason, "TooManyVms");
  EXPECT_TRUE(admit({"vm23", 2, MiB{2}}, host, {}, others));  // Its own old self does not count.
}

TEST(AdmissionTest, CpusFollowTheOvercommitSetting) {
  AdmissionSettings settings;
  EXPECT_EQ(admit({"new", 5, MiB{1}}, {4, MiB{10'000}}, settings, {}).error().reason, "InsufficientCpus");
  settings.cpu_overcommit_percent = 200;
  EXPECT_TRUE(admit({"new", 8, MiB{1}}, {4, MiB{10'000}}, settings, {}));
}

}  // namespace
}  // namespace berth::vm
