#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "manifest/workload.h"

namespace berth::manifest {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

rc::Gen<std::string> texts() {
  return rc::gen::container<std::string>(
      rc::gen::element('a', 'Z', '0', '"', '\\', '\n', '\t', ' ', '/', '\x7F', '\x01'));
}

rc::Gen<Pairs> pairs() { return rc::gen::container<Pairs>(rc::gen::pair(texts(), texts())); }

Place anyPlace() { return Place{*texts(), *rc::gen::arbitrary<int>(), *rc::gen::arbitrary<int>(), *texts()}; }

Container anyContainer() {
  Container c;
  c.name = *texts();
  c.image = *texts();
  c.command = *rc::gen::container<std::vector<std::string>>(texts());
  c.args = *rc::gen::container<std::vector<std::string>>(texts());
  c.env = *pairs();
  c.working_dir = *texts();
  c.mounts = {Mount{*texts(), *texts(), *rc::gen::arbitrary<bool>(), *rc::gen::arbitrary<bool>(),
                    *rc::gen::arbitrary<bool>()}};
  c.ports = {Port{*rc::gen::arbitrary<int>(), *rc::gen::arbitrary<int>(), *texts()}};
  c.memory_limit_bytes = *rc::gen::arbitrary<std::int64_t>();
  c.cpu_limit = *rc::gen::arbitrary<double>();
  c.privileged = *rc::gen::arbitrary<bool>();
  if (*rc::gen::arbitrary<bool>()) c.run_as_user = *rc::gen::arbitrary<std::int64_t>();
  c.tty = *rc::gen::arbitrary<bool>();
  c.gpu = GpuRequest{*rc::gen::arbitrary<int>(),
                     *texts(),
                     Percent{*rc::gen::arbitrary<int>()},
                     Percent{*rc::gen::arbitrary<int>()},
                     MiB{*rc::gen::arbitrary<std::int64_t>()},
                     *rc::gen::arbitrary<bool>(),
                     anyPlace()};
  return c;
}

Workload anyWorkload() {
  Workload w;
  w.name.value = "n" + *texts();
  w.kind = *rc::gen::element(Kind::Pod, Kind::Job, Kind::Deployment, Kind::IotEdgeModule);
  w.original_name = *texts();
  w.name_space = *texts();
  w.labels = *pairs();
  w.annotations = *pairs();
  w.restart = *rc::gen::element(RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never);
  w.replicas = *rc::gen::arbitrary<int>();
  w.completions = *rc::gen::arbitrary<int>();
  w.parallelism = *rc::gen::arbitrary<int>();
  w.backoff_limit = *rc::gen::arbitrary<int>();
  w.active_deadline_s = *rc::gen::arbitrary<std::int64_t>();
  w.termination_grace_s = *rc::gen::arbitrary<std::int64_t>();
  w.host_pid = *rc::gen::arbitrary<bool>();
  w.host_ipc = *rc::gen::arbitrary<bool>();
  w.host_network = *rc::gen::arbitrary<bool>();
  w.containers = {anyContainer(), anyContainer()};
  w.place = anyPlace();
  return w;
}

TEST(WorkloadJsonTest, WhatWasWrittenIsReadBack) {
  EXPECT_TRUE(rc::check([] {
    const Workload workload = anyWorkload();
    const auto again = fromJson(toJson(workload));
    RC_ASSERT(again.has_value());
    RC_ASSERT(*again == workload);
  }));
}

TEST(WorkloadJsonTest, UnknownFieldsOfANewerVersionArePassedOver) {
  const auto read =
      fromJson(R"({"name":"a","kind":"Job","later":{"x":[1]},"containers":[{"name":"c","new":1}]})");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->kind, Kind::Job);
  EXPECT_EQ(read->termination_grace_s, 30);
  EXPECT_EQ(read->containers.at(0).name, "c");
}

TEST(WorkloadJsonTest, AFieldOfAnotherTypeIsCorruptAndNamed) {
  const std::pair<const char*, const char*> bad[] = {
      {R"({"name":5})", "workload.name"},
      {R"({"name":"a","kind":"Cron"})", "workload.kind"},
      {R"({"name":"a","replicas":"1"})", "workload.replicas"},
      {R"({"name":"a","replicas":1.5})", "workload.replicas"},
      {R"({"name":"a","replicas":3000000000})", "workload.replicas"},
      {R"({"name":"a","hostPid":1})", "workload.hostPid"},
      {R"({"name":"a","labels":[["x"]]})", "workload.labels[0]"},
      {R"({"name":"a","containers":[{"cpuLimit":1}]})", "workload.containers[0].cpuLimit"},
      {R"({"name":"a","containers":[{"cpuLimit":"1x"}]})", "workload.containers[0].cpuLimit"},
      {R"({"name":"a","containers":{}})", "workload.containers"},
      {R"({"name":"a","place":[]})", "workload.place"},
      {R"({})", "workload.name"},
      {R"([])", "workload"},
      {R"({"name":)", "not JSON"},
      {"", "not JSON"},
  };
  for (const auto& [json, named] : bad) {
    const auto read = fromJson(json);
    ASSERT_FALSE(read) << json;
    EXPECT_EQ(read.error().code, ErrorCode::Corrupt);
    EXPECT_THAT(read.error().message, testing::HasSubstr(named));
  }
}

}  // namespace
}  // namespace berth::manifest
