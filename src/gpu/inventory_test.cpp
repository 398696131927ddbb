#include "gpu/inventory.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "gpu/fake_driver.h"

namespace berth::gpu {
namespace {

using ledger::Health;
using ledger::OwnerKind;

/// The ledger after these GPUs were seen for the first time.
std::vector<ledger::Gpu> remembered(std::vector<GpuInfo> listed) {
  std::vector<ledger::Gpu> known;
  for (const Change& change : takeInventory({{}, std::move(listed), {}, {}, false}).changes) {
    known.push_back(change.gpu);
  }
  return known;
}

PciDevice onBus(const GpuInfo& info, std::string driver) {
  return {info.pci, 0x030200, {0x10de, 0x1eb8}, {}, {}, std::move(driver)};
}

class InventoryOfManyTest : public testing::TestWithParam<int> {};

TEST_P(InventoryOfManyTest, NewGpusAreIndexedByAddressWhateverTheOrderOfNvml) {
  Sightings seen;
  for (int i = GetParam(); i > 0; --i) seen.listed.push_back(fakeGpu(i));
  const Inventory inventory = takeInventory(seen);
  ASSERT_EQ(inventory.changes.size(), static_cast<std::size_t>(GetParam()));
  for (int i = 0; i < GetParam(); ++i) {
    const Change& change = inventory.changes.at(static_cast<std::size_t>(i));
    EXPECT_EQ(change.kind, ChangeKind::New);
    EXPECT_EQ(change.gpu.index, i);
    EXPECT_EQ(change.gpu.pci, fakeGpu(i + 1).pci);
    EXPECT_EQ(change.gpu.memory, MiB{15360});
    EXPECT_EQ(change.gpu.owner.kind, OwnerKind::Free);
  }
}
INSTANTIATE_TEST_SUITE_P(OneToNine, InventoryOfManyTest, testing::Range(1, 10));

TEST(InventoryTest, NothingChangesWhenEverythingIsAsItWas) {
  const std::vector<GpuInfo> listed{fakeGpu(1), fakeGpu(2)};
  EXPECT_TRUE(takeInventory({remembered(listed), listed, {}, {}, false}).changes.empty());
}

TEST(InventoryTest, B8AGpuAddedAtALowerAddressDoesNotRenumberTheOthers) {
  const Inventory inventory = takeInventory(
      {remembered({fakeGpu(2), fakeGpu(3)}), {fakeGpu(1), fakeGpu(2), fakeGpu(3)}, {}, {}, false});
  ASSERT_EQ(inventory.changes.size(), 1U);
  EXPECT_EQ(inventory.changes[0].gpu.uuid, fakeGpu(1).uuid);
  EXPECT_EQ(inventory.changes[0].gpu.index, 2);
}

TEST(InventoryTest, AGpuThatAVmHoldsIsNotLostThoughNvmlDoesNotListIt) {
  const auto known = remembered({fakeGpu(1)});
  Sightings seen{known, {}, {{onBus(fakeGpu(1), "vfio-pci")}}, {fakeGpu(1).uuid}, false};
  EXPECT_TRUE(takeInventory(seen).changes.empty());
  seen.on_bus->clear();
  ASSERT_EQ(takeInventory(seen).changes.size(), 1U) << "not even on the bus";
  seen.on_bus.reset();
  EXPECT_TRUE(takeInventory(seen).changes.empty()) << "the bus could not be read";
}

TEST(InventoryTest, ASimulatedGpuThatAVmHoldsIsNotLookedForOnTheBus) {
  auto known = remembered({fakeGpu(1)});
  known[0].simulated = true;
  const Sightings seen{known, {}, std::vector<PciDevice>{}, {fakeGpu(1).uuid}, true};
  EXPECT_TRUE(takeInventory(seen).changes.empty());
}

TEST(InventoryTest, AGpuOnTheMoveIsNotLost) {
  auto known = remembered({fakeGpu(1)});
  known[0].owner = {OwnerKind::Moving, "kubernetes to vm1"};
  EXPECT_TRUE(takeInventory({known, {}, {}, {}, false}).changes.empty());
}

TEST(InventoryTest, AGpuThatNothingExplainsIsLostAndTheReasonSaysWhereItIs) {
  const auto known = remembered({fakeGpu(1)});
  const auto reason = [&](std::optional<std::vector<PciDevice>> bus) {
    const Inventory inventory = takeInventory({known, {}, std::move(bus), {}, false});
    EXPECT_EQ(inventory.changes.size(), 1U);
    EXPECT_EQ(inventory.changes.at(0).kind, ChangeKind::Lost);
    EXPECT_EQ(inventory.changes.at(0).gpu.health, Health::Lost);
    return inventory.changes.at(0).gpu.health_reason;
  };
  EXPECT_EQ(reason(std::nullopt), "the driver does not list it");
  EXPECT_EQ(reason(std::vector<PciDevice>{}), "it is not on the PCI bus");
  EXPECT_EQ(reason({{onBus(fakeGpu(1), "")}}), "no driver is bound to it");
  EXPECT_EQ(reason({{onBus(fakeGpu(1), "vfio-pci")}}),
            "the driver does not list it, and it is bound to vfio-pci");
}

TEST(InventoryTest, ALostGpuIsReportedOnceAndComesBackWithOwnerAndIndex) {
  auto known = remembered({fakeGpu(1), fakeGpu(2)});
  known[1].owner = {OwnerKind::Kubernetes, ""};
  known[1].health = Health::Lost;
  known[1].health_reason = "it is not on the PCI bus";
  EXPECT_TRUE(takeInventory({known, {fakeGpu(1)}, {}, {}, false}).changes.empty());

  const Inventory inventory = takeInventory({known, {fakeGpu(1), fakeGpu(2)}, {}, {}, false});
  ASSERT_EQ(inventory.changes.size(), 1U);
  EXPECT_EQ(inventory.changes[0].kind, ChangeKind::Back);
  EXPECT_EQ(inventory.changes[0].gpu.health, Health::Ok);
  EXPECT_EQ(inventory.changes[0].gpu.health_reason, "");
  EXPECT_EQ(inventory.changes[0].gpu.owner.kind, OwnerKind::Kubernetes);
  EXPECT_EQ(inventory.changes[0].gpu.index, 1);
}

TEST(InventoryTest, AnUnhealthyGpuIsNotHealedByBeingListed) {
  auto known = remembered({fakeGpu(1)});
  known[0].health = Health::Unhealthy;
  EXPECT_TRUE(takeInventory({known, {fakeGpu(1)}, {}, {}, false}).changes.empty());
}

TEST(InventoryTest, TheUuidIsTheIdentityWhenACardChangesItsSlot) {
  const auto known = remembered({fakeGpu(1), fakeGpu(2)});
  GpuInfo moved = fakeGpu(1);
  moved.pci = PciAddress("0000:5e:00.0");
  const Inventory inventory = takeInventory({known, {moved, fakeGpu(2)}, {}, {}, false});
  ASSERT_EQ(inventory.changes.size(), 1U);
  EXPECT_EQ(inventory.changes[0].kind, ChangeKind::AddressChanged);
  EXPECT_EQ(inventory.changes[0].gpu.index, 0);
  EXPECT_EQ(inventory.changes[0].gpu.pci, moved.pci);
}

TEST(InventoryTest, ADriverUpdateThatShowsOtherMemoryIsTakenOver) {
  const auto known = remembered({fakeGpu(1)});
  GpuInfo updated = fakeGpu(1);
  updated.memory_bytes = std::int64_t{15109} << 20;
  const Inventory inventory = takeInventory({known, {updated}, {}, {}, false});
  ASSERT_EQ(inventory.changes.size(), 1U);
  EXPECT_EQ(inventory.changes[0].kind, ChangeKind::Redescribed);
  EXPECT_EQ(inventory.changes[0].gpu.memory, MiB{15109});
}

TEST(InventoryTest, AGpuOnTheBusThatNobodyKnowsIsAStranger) {
  const auto known = remembered({fakeGpu(1)});
  const Inventory inventory = takeInventory(
      {known, {fakeGpu(1)}, {{onBus(fakeGpu(1), "nvidia"), onBus(fakeGpu(2), "vfio-pci")}}, {}, false});
  ASSERT_EQ(inventory.strangers.size(), 1U);
  EXPECT_EQ(inventory.strangers[0].address, fakeGpu(2).pci);
  EXPECT_TRUE(inventory.changes.empty());
}

TEST(InventoryTest, GpusWithVfioAreKnownByTheirAddress) {
  const std::vector<ledger::Gpu> known = remembered({fakeGpu(1), fakeGpu(2)});
  EXPECT_EQ(withVfio(known, {onBus(fakeGpu(1), "vfio-pci"), onBus(fakeGpu(2), "nvidia"),
                             onBus(fakeGpu(3), "vfio-pci")}),
            std::set<GpuUuid>{fakeGpu(1).uuid});
}

TEST(InventoryTest, ACardThatTheConfigurationNamesIsOneGpuWhateverItsFunctions) {
  const PciId stand_in{0x1234, 0x11e8};
  const std::vector<PciDevice> bus{{PciAddress("0000:00:02.0"), 0x020000, {0x8086, 0x10d3}, {}, {}, "e1000e"},
                                   {PciAddress("0000:00:05.0"), 0x00ff00, stand_in, {}, 4, ""},
                                   {PciAddress("0000:00:05.1"), 0x00ff00, stand_in, {}, 4, "vfio-pci"},
                                   {PciAddress("0000:00:06.0"), 0x00ff00, stand_in, {}, 5, "vfio-pci"}};
  const std::vector<GpuInfo> gpus = gpusByPci(bus, {stand_in});
  ASSERT_EQ(gpus.size(), 2U);
  EXPECT_EQ(gpus[0].uuid, GpuUuid("PCI-0000:00:05.0"));
  EXPECT_EQ(gpus[0].name, "PCI device 1234:11e8");
  EXPECT_EQ(gpus[0].pci_device_id, 0x11e81234U);
  EXPECT_EQ(gpus[1].pci, PciAddress("0000:00:06.0"));
  EXPECT_TRUE(gpusByPci(bus, {}).empty());
}

}  // namespace
}  // namespace berth::gpu
