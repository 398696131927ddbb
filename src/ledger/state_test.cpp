#include "ledger/state.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/types.h"

namespace berth::ledger {
namespace {

Gpu gpu(int index, const std::string& uuid, const std::string& pci) {
  Gpu made;
  made.index = index;
  made.uuid = GpuUuid{uuid};
  made.pci = PciAddress{pci};
  return made;
}

State twoGpus() {
  State state;
  state.gpus = {gpu(0, "GPU-aaaa1111-0000", "0000:3b:00.0"), gpu(1, "GPU-aaaa2222-0000", "0000:5e:00.0")};
  return state;
}

template <typename Enum>
void expectNamesLeadBack(int count) {
  for (int i = 0; i < count; ++i) {
    const auto value = static_cast<Enum>(i);
    auto back = static_cast<Enum>((i + 1) % count);
    EXPECT_TRUE(fromName(name(value), back));
    EXPECT_EQ(back, value) << name(value);
  }
  auto kept = static_cast<Enum>(1);
  EXPECT_FALSE(fromName("nonsense", kept));
  EXPECT_EQ(kept, static_cast<Enum>(1));
}

TEST(StateTest, EveryNameLeadsBackToItsValueAndOthersLeaveItAlone) {
  expectNamesLeadBack<OwnerKind>(6);
  expectNamesLeadBack<Mode>(3);
  expectNamesLeadBack<Rung>(5);
  expectNamesLeadBack<Health>(3);
  expectNamesLeadBack<HolderKind>(3);
}

TEST(StateTest, AGpuIsFoundByIndexUuidUniqueStartAndPciAddress) {
  const State state = twoGpus();
  EXPECT_EQ(findGpuByText(state, "1"), &state.gpus[1]);
  EXPECT_EQ(findGpuByText(state, "GPU-aaaa1111-0000"), &state.gpus[0]);
  EXPECT_EQ(findGpuByText(state, "GPU-aaaa2"), &state.gpus[1]);
  EXPECT_EQ(findGpuByText(state, "0000:3b:00.0"), &state.gpus[0]);
}

TEST(StateTest, AnAmbiguousShortOrUnknownTextFindsNoGpu) {
  const State state = twoGpus();
  EXPECT_EQ(findGpuByText(state, "GPU-aaaa"), nullptr);  // Two start like this.
  EXPECT_EQ(findGpuByText(state, "2"), nullptr);
  EXPECT_EQ(findGpuByText(state, "-1"), nullptr);
  EXPECT_EQ(findGpuByText(state, ""), nullptr);
  State one = twoGpus();
  one.gpus.pop_back();
  EXPECT_EQ(findGpuByText(one, "GPU-aaa"), nullptr);        // Seven characters.
  EXPECT_EQ(findGpuByText(one, "GPU-aaaa"), &one.gpus[0]);  // Eight.
}

TEST(StateTest, BerthsOnListsThoseOfOneGpuInOrder) {
  State state = twoGpus();
  for (int id = 1; id <= 4; ++id) {
    Berth berth;
    berth.id = id;
    berth.gpu = state.gpus[static_cast<std::size_t>(id % 2)].uuid;
    state.berths.push_back(berth);
  }
  const std::vector<const Berth*> berths = berthsOn(state, state.gpus[1].uuid);
  ASSERT_EQ(berths.size(), 2U);
  EXPECT_EQ(berths[0]->id, 1);
  EXPECT_EQ(berths[1]->id, 3);
}

}  // namespace
}  // namespace berth::ledger
