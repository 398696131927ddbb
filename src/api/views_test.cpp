#include "api/views.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace berth::api {
namespace {

namespace json = boost::json;

ledger::State oneGpuWithASharer() {
  ledger::State state;
  ledger::Gpu gpu;
  gpu.uuid = GpuUuid("GPU-1");
  gpu.pci = PciAddress("0000:3b:00.0");
  gpu.name = "Tesla T4";
  gpu.memory = MiB{15360};
  gpu.owner = {ledger::OwnerKind::Local, ""};
  gpu.mode = ledger::Mode::Mps;
  state.gpus.push_back(gpu);
  ledger::Berth berth;
  berth.id = 4;
  berth.gpu = gpu.uuid;
  berth.holder = {ledger::HolderKind::Container, "w/0/c"};
  berth.thread_percentage = Percent{20};
  berth.compute_rung = ledger::Rung::MpsV2;
  state.berths.push_back(berth);
  return state;
}

TEST(ViewsTest, AGpuRowHasTheKeysOfTheContract) {
  const ledger::State state = oneGpuWithASharer();
  const json::object row = gpuJson(state, state.gpus[0], {});
  for (const char* key : {"index", "uuid", "pciAddress", "name", "memoryMiB", "owner", "mode", "health",
                          "simulated", "berths"}) {
    EXPECT_TRUE(row.contains(key)) << key;
  }
  EXPECT_EQ(row.at("owner").at("kind"), "local");
  EXPECT_EQ(row.at("mode"), "mps");
  EXPECT_EQ(row.at("berths").at(0).at("holder").at("name"), "w/0/c");
  EXPECT_EQ(row.at("berths").at(0).at("threadPercentage"), 20);
  EXPECT_EQ(row.at("berths").at(0).at("computeRung"), "mps-v2");
}

TEST(ViewsTest, AWorkloadRowShowsWhereItsContainersRun) {
  const ledger::State state = oneGpuWithASharer();
  service::WorkloadRecord workload;
  workload.spec.name = WorkloadName("w");
  workload.spec.kind = manifest::Kind::Job;
  workload.spec.containers.resize(1);
  workload.spec.containers[0].name = "c";
  workload.containers = service::initialContainers(workload.spec);
  const json::object row = workloadJson(state, workload);
  EXPECT_EQ(row.at("kind"), "Job");
  EXPECT_EQ(row.at("state"), "pending");
  EXPECT_EQ(row.at("containers").at(0).at("gpu"), 0);
  EXPECT_TRUE(row.at("containers").at(0).at("exitCode").is_null());
}

TEST(ViewsTest, KubernetesNamesWhatEnablingWouldClaim) {
  ledger::State state = oneGpuWithASharer();
  state.gpus.push_back(state.gpus[0]);
  state.gpus[1].index = 1;
  state.gpus[1].owner = {};
  const json::object view = kubernetesJson(state);
  ASSERT_EQ(view.at("claimable").get_array().size(), 1U);
  EXPECT_EQ(view.at("claimable").at(0), 1);
  EXPECT_TRUE(view.at("gpus").get_array().empty());
}

TEST(ViewsTest, ARunningOperationKeepsItsErrorToItselfUntilItHasFailed) {
  service::Operation operation;
  operation.error = Error{ErrorCode::Unavailable, "no", {}, {}};
  EXPECT_TRUE(operationJson(operation).at("error").is_null());
  operation.state = service::Operation::State::Failed;
  EXPECT_EQ(operationJson(operation).at("error").at("message"), "no");
}

TEST(ViewsTest, TimesAreIsoAndNeverIsNull) {
  EXPECT_TRUE(timestamp({}).is_null());
  const service::WallTime time{std::chrono::milliseconds(1767323045678)};
  EXPECT_EQ(timestamp(time), "2026-01-02T03:04:05.678Z");
}

}  // namespace
}  // namespace berth::api
