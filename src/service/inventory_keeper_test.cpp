#include "service/inventory_keeper.h"

#include <chrono>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "gpu/fake_driver.h"
#include "service/service_testing.h"

namespace berth::service {
namespace {

using ledger::Health;

constexpr std::uint64_t kDoubleBitError = 48;  // Needs a reset.
constexpr std::uint64_t kNvlinkError = 74;     // Needs quiet.

class InventoryKeeperTest : public ::testing::Test {
 protected:
  InventoryKeeperTest() {
    driver.gpus = {gpu::fakeGpu(0)};
    start("boot-1");
    EXPECT_TRUE(keeper->refresh());
  }
  /// The daemon's start, after a kill or after a reboot.
  void start(const std::string& boot_id) {
    box.boot();
    keeper = std::make_unique<InventoryKeeper>(*box.desk, driver, bus, std::vector<gpu::PciId>{}, boot_id);
  }
  void report(std::uint64_t xid) { EXPECT_TRUE(keeper->handle({gpu, gpu::EventKind::Xid, xid})); }
  Health afterQuiet() {
    box.clock.advance(gpu::kQuietTime);
    EXPECT_TRUE(keeper->refresh());
    return box.state().gpus[0].health;
  }

  const GpuUuid gpu = gpu::fakeGpu(0).uuid;
  testing::Box box{1};
  gpu::FakeGpuDriver driver;
  const gpu::PciBus bus;
  std::unique_ptr<InventoryKeeper> keeper;
};

TEST_F(InventoryKeeperTest, AGpuThatNeedsQuietHealsWhenItHasBeenQuiet) {
  report(kNvlinkError);
  EXPECT_EQ(box.state().gpus[0].health, Health::Unhealthy);
  EXPECT_EQ(afterQuiet(), Health::Ok);
}

TEST_F(InventoryKeeperTest, AGpuThatNeedsAResetDoesNotHealByARestartOfTheDaemon) {
  report(kDoubleBitError);
  EXPECT_EQ(afterQuiet(), Health::Unhealthy);
  start("boot-1");
  EXPECT_EQ(afterQuiet(), Health::Unhealthy);
}

TEST_F(InventoryKeeperTest, AGpuThatNeedsAResetHealsAfterAReboot) {
  report(kDoubleBitError);
  start("boot-2");
  EXPECT_EQ(afterQuiet(), Health::Ok);
  start("boot-2");
  report(kNvlinkError);
  EXPECT_EQ(afterQuiet(), Health::Ok) << "the reset that was awaited is forgotten";
}

TEST_F(InventoryKeeperTest, AGpuThatNeedsAResetHealsWhenItLeftTheBusAndCameBack) {
  report(kDoubleBitError);
  driver.gpus.clear();
  EXPECT_EQ(afterQuiet(), Health::Lost);
  driver.gpus = {gpu::fakeGpu(0)};
  EXPECT_EQ(afterQuiet(), Health::Ok);
  report(kNvlinkError);
  EXPECT_EQ(afterQuiet(), Health::Ok);
}

}  // namespace
}  // namespace berth::service
