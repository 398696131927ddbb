#include "gpu/pci.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace berth::gpu {
namespace {

namespace fs = std::filesystem;

TEST(PciAddressTest, SysfsAndNvmlSpellTheSameAddress) {
  EXPECT_EQ(parsePciAddress("00000000:3B:00.0"), PciAddress("0000:3b:00.0"));
  EXPECT_EQ(parsePciAddress("0000:3b:00.0"), PciAddress("0000:3b:00.0"));
  EXPECT_EQ(parsePciAddress("10000:01:1f.7"), PciAddress("10000:01:1f.7"));
}

TEST(PciAddressTest, AnythingElseIsNoAddress) {
  for (const char* text : {"", "3b:00.0", "0000:3b:00", "0000:3b:20.0", "0000:3b:00.8", "0000:3b:00.0 ",
                           "000000000:3b:00.0", "0000:+b:00.0", "0000:3b:0x.0", "../../../:3b:00.0"}) {
    EXPECT_EQ(parsePciAddress(text), std::nullopt) << text;
  }
}

class PciBusTest : public testing::Test {
 protected:
  PciBusTest() {
    std::string pattern = (fs::temp_directory_path() / "berth-pci-XXXXXX").string();
    sysfs_ = ::mkdtemp(pattern.data());
  }
  ~PciBusTest() override { fs::remove_all(sysfs_); }

  fs::path add(const std::string& address, const std::string& class_code, const std::string& vendor,
               const std::string& device) {
    const fs::path folder = sysfs_ / "bus/pci/devices" / address;
    fs::create_directories(folder);
    std::ofstream(folder / "class") << class_code << '\n';
    std::ofstream(folder / "vendor") << vendor << '\n';
    std::ofstream(folder / "device") << device << '\n';
    return folder;
  }

  fs::path sysfs_;
};

TEST_F(PciBusTest, AGpuBoundToVfioIsFoundWithItsGroupAndNode) {
  const fs::path folder = add("0000:3b:00.0", "0x030200", "0x10de", "0x1eb8");
  std::ofstream(folder / "numa_node") << "1\n";
  fs::create_symlink("../../../kernel/iommu_groups/17", folder / "iommu_group");
  fs::create_symlink("../../../bus/pci/drivers/vfio-pci", folder / "driver");

  const auto gpus = PciBus(sysfs_).gpus({});
  ASSERT_TRUE(gpus) << gpus.error().message;
  ASSERT_EQ(gpus->size(), 1U);
  EXPECT_EQ(gpus->front(),
            (PciDevice{PciAddress("0000:3b:00.0"), 0x030200, {0x10de, 0x1eb8}, 1, 17, "vfio-pci"}));
}

TEST_F(PciBusTest, OnlyNvidiasDisplayControllersAndConfiguredIdsAreGpus) {
  add("0000:3b:00.0", "0x030000", "0x10de", "0x1eb8");
  add("0000:3b:00.1", "0x040300", "0x10de", "0x10f8");  // The card's audio function.
  add("0000:02:00.0", "0x030000", "0x1a03", "0x2000");  // The board's own display.
  add("0000:04:00.0", "0x00ff00", "0x1234", "0x11e8");  // A stand-in that the configuration names.

  const auto gpus = PciBus(sysfs_).gpus({{0x1234, 0x11e8}});
  ASSERT_TRUE(gpus);
  ASSERT_EQ(gpus->size(), 2U);
  EXPECT_EQ((*gpus)[0].address, PciAddress("0000:04:00.0"));
  EXPECT_EQ((*gpus)[1].address, PciAddress("0000:3b:00.0"));
}

TEST_F(PciBusTest, NoNumaNodeNoGroupAndNoDriverAreSaidToBeNone) {
  const fs::path folder = add("0000:3b:00.0", "0x030200", "0x10de", "0x1eb8");
  std::ofstream(folder / "numa_node") << "-1\n";
  const auto device = PciBus(sysfs_).device(PciAddress("0000:3b:00.0"));
  ASSERT_TRUE(device);
  EXPECT_EQ(device->numa_node, std::nullopt);
  EXPECT_EQ(device->iommu_group, std::nullopt);
  EXPECT_EQ(device->driver, "");
}

TEST_F(PciBusTest, AMachineWithoutPciHasNoGpusAndADeviceThatIsNotThereIsNotFound) {
  EXPECT_TRUE(PciBus(sysfs_).gpus({}).value().empty());
  EXPECT_EQ(PciBus(sysfs_).device(PciAddress("0000:3b:00.0")).error().code, ErrorCode::NotFound);
  EXPECT_EQ(PciBus(sysfs_).device(PciAddress("../x")).error().code, ErrorCode::InvalidArgument);
}

TEST_F(PciBusTest, AnAttributeThatIsNoNumberIsNamed) {
  add("0000:3b:00.0", "display", "0x10de", "0x1eb8");
  const auto gpus = PciBus(sysfs_).gpus({});
  ASSERT_FALSE(gpus);
  EXPECT_EQ(gpus.error().code, ErrorCode::Corrupt);
  EXPECT_NE(gpus.error().message.find("0000:3b:00.0/class"), std::string::npos);
}

}  // namespace
}  // namespace berth::gpu
