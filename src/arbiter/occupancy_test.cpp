#include "arbiter/occupancy.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "arbiter/arbiter.h"
#include "base/types.h"
#include "ledger/state.h"

namespace berth::arbiter {
namespace {

ledger::State device() {
  ledger::State state;
  for (int i = 0; i < 2; ++i) {
    ledger::Gpu gpu;
    gpu.index = i;
    gpu.uuid = GpuUuid("GPU-" + std::to_string(i));
    state.gpus.push_back(gpu);
  }
  return state;
}

ledger::Berth berth(std::int64_t id, const std::string& holder) {
  ledger::Berth berth;
  berth.id = id;
  berth.gpu = GpuUuid("GPU-" + std::to_string(id % 2));
  berth.holder = {ledger::HolderKind::Container, holder};
  berth.compute = Percent{1};
  return berth;
}

/// Changes the state and its index alike.
void change(ledger::State& state, Occupancy& index, Change one) {
  const Plan plan{{std::move(one)}, {}};
  state = apply(std::move(state), plan);
  index.apply(plan);
}

TEST(OccupancyTest, OneThatWasMadeForNoGpusEqualsThatOfAnEmptyState) {
  EXPECT_EQ(Occupancy(), Occupancy(ledger::State{}));
  EXPECT_NE(Occupancy(), Occupancy(device()));
}

TEST(OccupancyTest, WhatIsGrantedToACopyTheOtherDoesNotHave) {
  const ledger::State state = device();
  const Occupancy before(state);
  Occupancy copy = before;
  copy.apply({{Grant{berth(1, "a")}}, {}});
  EXPECT_EQ(before, Occupancy(state));
  EXPECT_EQ(before.berthsOf(berth(1, "a").holder), nullptr);
  ASSERT_NE(copy.berthsOf(berth(1, "a").holder), nullptr);
  EXPECT_EQ(copy.uses()[1].compute, 1);
}

TEST(OccupancyTest, AHolderThatGaveBackEverythingHasNoBerths) {
  ledger::State state = device();
  state.berths = {berth(1, "a"), berth(2, "a")};
  Occupancy index(state);
  change(state, index, Revoke{berth(1, "a")});
  EXPECT_EQ(*index.berthsOf(berth(1, "a").holder), std::vector<std::int64_t>{2});
  change(state, index, Revoke{berth(2, "a")});
  EXPECT_EQ(index.berthsOf(berth(1, "a").holder), nullptr);
  EXPECT_EQ(index, Occupancy(state));
}

// More of them than an index remembers beside what its copies share.
TEST(OccupancyTest, ManyHoldersThatComeAndGoLeaveWhatANewIndexSays) {
  constexpr std::int64_t kHolders = 700;
  ledger::State state = device();
  Occupancy index(state);
  for (std::int64_t id = 1; id <= kHolders; ++id) {
    change(state, index, Grant{berth(id, "holder-" + std::to_string(id))});
    if (id % 3 == 0) change(state, index, Revoke{berth(id - 1, "holder-" + std::to_string(id - 1))});
  }
  EXPECT_EQ(index, Occupancy(state));
  const ledger::Holder gone = berth(2, "holder-2").holder;
  EXPECT_EQ(index.berthsOf(gone), nullptr) << "granted and given back long ago";
}

}  // namespace
}  // namespace berth::arbiter
