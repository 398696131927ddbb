#include "api/logs.h"

#include <gtest/gtest.h>

namespace berth::api {
namespace {

service::WorkloadRecord twoContainers() {
  service::WorkloadRecord workload;
  workload.spec.name = WorkloadName("w");
  workload.spec.containers.resize(2);
  workload.spec.containers[0].name = "a";
  workload.spec.containers[1].name = "b";
  workload.containers = service::initialContainers(workload.spec);
  return workload;
}

TEST(LogsTest, EveryLineGetsItsLabelHoweverThePiecesAreCut) {
  for (std::size_t cut = 0; cut <= 5; ++cut) {
    const std::string text = "x\ny\nz";
    LinePrefixer prefixer("[a] ");
    std::string labelled = prefixer.add(text.substr(0, cut));
    labelled += prefixer.add(text.substr(cut));
    EXPECT_EQ(labelled, "[a] x\n[a] y\n[a] z") << cut;
  }
}

TEST(LogsTest, AContainerIsNamedByItselfOrWithItsPod) {
  service::WorkloadRecord workload = twoContainers();
  workload.containers[1].engine_id = ContainerId("id-b");
  for (const char* name : {"b", "0/b", "w/0/b"}) {
    const auto sources = logSources(workload, {name, false, {}});
    ASSERT_TRUE(sources) << name;
    ASSERT_EQ(sources->size(), 1U);
    EXPECT_EQ(sources->front().id.value, "id-b");
    EXPECT_EQ(sources->front().label, "0/b");
  }
}

TEST(LogsTest, WhatIsNotThereIsSaid) {
  const service::WorkloadRecord workload = twoContainers();
  EXPECT_EQ(logSources(workload, {"c", false, {}}).error().message, "w has no container c");
  EXPECT_EQ(logSources(workload, {"", false, {}}).error().message, "w has not been started yet");
}

}  // namespace
}  // namespace berth::api
