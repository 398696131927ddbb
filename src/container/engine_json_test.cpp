#include "container/engine_json.h"

#include <limits>

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace berth::container {
namespace {

namespace json = boost::json;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using std::chrono::system_clock;

ContainerConfig minimal() {
  ContainerConfig config;
  config.name = "web";
  config.image = "nvidia/samples:nbody";
  return config;
}

json::object bodyOf(const ContainerConfig& config) {
  const auto body = createBody(config, {});
  EXPECT_TRUE(body) << body.error().message;
  return body ? json::parse(*body).as_object() : json::object{};
}

// Answers of Podman 4.3.1 and dockerd 20.10.24, shortened to what is read.
constexpr std::string_view kPodmanRunning =
    R"({"Id":"175dbedbc1f6dc3a33ecd4a35cd7f75ffd3dc6e58f5584e22ca07f64a41f994b",
  "Created":"2026-11-30T05:13:09.461058415Z","Path":"/bin/sh","Args":["-c","echo a; sleep 100"],
  "State":{"Status":"running","Running":true,"Paused":false,"Restarting":false,"OOMKilled":false,"Dead":false,"Pid":8478,
    "ExitCode":0,"Error":"","StartedAt":"2026-11-30T05:13:09.744630507Z","FinishedAt":"0001-01-01T00:00:00Z",
    "Health":{"Status":"","FailingStreak":0,"Log":null}},
  "Image":"sha256:d42538b1","Name":"/c1","HostConfig":{"Binds":["/srv:/x:ro,rprivate,rbind"],"CapAdd":[]},
  "Config":{"Hostname":"175dbedbc1f6","Tty":true,"Env":["A=b=c"],"Labels":{"berth.dev/w":"x","k":"v"}}})";
constexpr std::string_view kDockerExited =
    R"({"Id":"1fa8668feea8202b5cec6a2510c81144626a3d7d79095e9ccf329259001242f2",
  "State":{"Status":"exited","Running":false,"Paused":false,"Restarting":false,"OOMKilled":true,"Dead":false,"Pid":0,
    "ExitCode":137,"Error":"no memory","StartedAt":"2026-11-30T05:13:15.423417083Z",
    "FinishedAt":"2026-11-30T06:13:15.42096749+01:00"},
  "Name":"/c1","Config":{"Tty":false,"Labels":null}})";

TEST(EngineJsonTest, ARunningContainerIsRead) {
  const auto inspected = parseInspect(kPodmanRunning);
  ASSERT_TRUE(inspected) << inspected.error().message;
  const ContainerStatus& status = inspected->status;
  EXPECT_EQ(status.id.value, "175dbedbc1f6dc3a33ecd4a35cd7f75ffd3dc6e58f5584e22ca07f64a41f994b");
  EXPECT_EQ(status.name, "c1");
  EXPECT_EQ(status.state, ContainerState::Running);
  EXPECT_EQ(status.pid, 8478);
  EXPECT_TRUE(inspected->tty);
  const std::vector<std::pair<std::string, std::string>> labels{{"berth.dev/w", "x"}, {"k", "v"}};
  EXPECT_EQ(status.labels, labels);
  EXPECT_EQ(status.started, system_clock::time_point(seconds(1796015589) + nanoseconds(744630507)));
  EXPECT_EQ(status.finished, system_clock::time_point{});
}

TEST(EngineJsonTest, AnExitedContainerIsReadWithItsCodeAndCause) {
  const auto inspected = parseInspect(kDockerExited);
  ASSERT_TRUE(inspected) << inspected.error().message;
  EXPECT_EQ(inspected->status.state, ContainerState::Exited);
  EXPECT_EQ(inspected->status.exit_code, 137);
  EXPECT_TRUE(inspected->status.oom_killed);
  EXPECT_EQ(inspected->status.error, "no memory");
  EXPECT_EQ(inspected->status.pid, 0);
  EXPECT_FALSE(inspected->tty);
  EXPECT_EQ(inspected->status.finished,
            system_clock::time_point(seconds(1796015595) + nanoseconds(420967490)));
}

TEST(EngineJsonTest, EveryStateOfBothEnginesHasAMeaning) {
  const auto stateOf = [](const std::string& name) {
    const auto inspected = parseInspect(R"({"Id":"a","State":{"Status":")" + name + R"(","Pid":5}})");
    EXPECT_TRUE(inspected);
    return inspected->status;
  };
  for (const char* name : {"created", "configured", "initialized"}) {
    EXPECT_EQ(stateOf(name).state, ContainerState::Created) << name;
  }
  for (const char* name : {"running", "stopping"}) {
    EXPECT_EQ(stateOf(name).state, ContainerState::Running) << name;
  }
  for (const char* name : {"exited", "stopped", "dead"}) {
    EXPECT_EQ(stateOf(name).state, ContainerState::Exited) << name;
    EXPECT_EQ(stateOf(name).pid, 0) << name;
  }
  for (const char* name : {"paused", "restarting", "removing", "", "new"}) {
    EXPECT_EQ(stateOf(name).state, ContainerState::Other) << name;
  }
}

TEST(EngineJsonTest, ValuesOfTheWrongKindCountAsAbsent) {
  const auto inspected = parseInspect(
      R"({"Id":"a","Name":7,"State":{"Status":"running","Pid":"8","ExitCode":1e300,"OOMKilled":1,"StartedAt":[]},
          "Config":{"Tty":"yes","Labels":{"a":7,"b":"c"}}})");
  ASSERT_TRUE(inspected);
  EXPECT_EQ(inspected->status.pid, 0);
  EXPECT_EQ(inspected->status.exit_code, 0);
  EXPECT_FALSE(inspected->status.oom_killed);
  EXPECT_FALSE(inspected->tty);
  ASSERT_EQ(inspected->status.labels.size(), 1U);
  EXPECT_EQ(inspected->status.labels[0].second, "c");
}

TEST(EngineJsonTest, AnAnswerWithoutWhatMattersIsCorruptAndNamesIt) {
  const std::pair<std::string_view, std::string_view> cases[] = {{"", "not JSON"},
                                                                 {"{\"Id\":", "not JSON"},
                                                                 {"[]", "not a JSON object"},
                                                                 {"{}", "lacks Id"},
                                                                 {R"({"Id":7})", "lacks Id"},
                                                                 {R"({"Id":""})", "lacks Id"},
                                                                 {R"({"Id":"a"})", "State"},
                                                                 {R"({"Id":"a","State":3})", "State"}};
  for (const auto& [body, cause] : cases) {
    const auto inspected = parseInspect(body);
    ASSERT_FALSE(inspected) << body;
    EXPECT_EQ(inspected.error().code, ErrorCode::Corrupt);
    EXPECT_NE(inspected.error().message.find(cause), std::string::npos) << inspected.error().message;
  }
}

TEST(EngineJsonTest, DeepNestingIsRefusedAndDoesNotOverflow) {
  EXPECT_FALSE(parseList(std::string(100000, '[')));
  EXPECT_FALSE(parseInspect(R"({"Id":)" + std::string(100000, '[')));
}

TEST(EngineJsonTest, VolumesHaveANameAndPerhapsLabels) {
  const auto volumes =
      parseVolumes(R"({"Volumes":[{"Name":"a","Labels":{"k":"v"}},{"Name":"b","Labels":null}]})");
  ASSERT_TRUE(volumes) << volumes.error().message;
  EXPECT_EQ(*volumes, (std::vector<Volume>{{"a", {{"k", "v"}}}, {"b", {}}}));
  EXPECT_TRUE(parseVolumes(R"({"Volumes":null})").value().empty());
  for (const char* bad : {"[]", R"({"Volumes":7})", R"({"Volumes":[{}]})", R"({"Volumes":[{"Name":""}]})"}) {
    EXPECT_FALSE(parseVolumes(bad)) << bad;
  }
}

TEST(EngineJsonTest, AListGivesTheIdsInOrder) {
  const auto ids = parseList(R"([{"Id":"b3","Names":["/c1"],"State":"exited"},{"Id":"a1"}])");
  ASSERT_TRUE(ids);
  EXPECT_EQ(*ids, (std::vector<ContainerId>{ContainerId("b3"), ContainerId("a1")}));
  EXPECT_TRUE(parseList("[]"));
  for (const char* bad : {"{}", "[7]", R"([{"Id":"a"},{}])", "null"}) EXPECT_FALSE(parseList(bad)) << bad;
}

TEST(EngineJsonTest, TheVersionNamesTheEngine) {
  EXPECT_EQ(*parseVersion(R"({"Components":[{"Name":"Podman Engine","Version":"4.3.1"}],"Version":"4.3.1"})"),
            "podman 4.3.1");
  EXPECT_EQ(*parseVersion(R"({"Components":[{"Name":"Engine"},7],"Version":"20.10.24"})"), "docker 20.10.24");
  EXPECT_FALSE(parseVersion("{}"));
}

TEST(EngineJsonTest, ErrorsKeepTheEnginesWords) {
  const Error taken = errorFromAnswer(
      500,
      R"({"cause":"that name is already in use","message":"container create: that name is already in use","response":500})");
  EXPECT_EQ(taken.code, ErrorCode::Conflict);
  EXPECT_EQ(taken.message, "container create: that name is already in use");
  EXPECT_EQ(errorFromAnswer(409, R"({"message":"Conflict. The container name"})").code, ErrorCode::Conflict);
  EXPECT_EQ(errorFromAnswer(404, R"({"message":"No such container: zzz"})").message,
            "No such container: zzz");
  EXPECT_EQ(errorFromAnswer(404, "").code, ErrorCode::NotFound);
  EXPECT_EQ(errorFromAnswer(400, "").code, ErrorCode::InvalidArgument);
  const Error broken = errorFromAnswer(500, "<html>oops</html>\n");
  EXPECT_EQ(broken.code, ErrorCode::Io);
  EXPECT_EQ(broken.reason, "EngineError");
  EXPECT_EQ(broken.message, "<html>oops</html>");
  EXPECT_EQ(errorFromAnswer(503, "").message, "the engine answered with status 503");
}

TEST(EngineJsonTest, TheRequestHoldsTheWholeConfiguration) {
  ContainerConfig config = minimal();
  config.entrypoint = {"/bin/sh", "-c"};
  config.command = {"nbody \"x\""};
  config.env = {{"A", "b=c"}, {"EMPTY", ""}};
  config.working_dir = "/srv";
  config.binds = {{"/host", "/in", true}, {"data", "/data", false, true}};
  config.devices = {"/dev/nvidia0"};
  config.labels = {{"berth.dev/workload", "web"}};
  config.ports = {{80, 8080, "tcp"}, {80, 8081, "tcp"}, {53, 53, "udp"}};
  config.host_pid = true;
  config.host_ipc = true;
  config.host_network = true;
  config.privileged = true;
  config.tty = true;
  config.user = "1000";
  config.memory_limit_bytes = 64 << 20;
  config.cpu_limit = 1.5;
  const auto body = createBody(config, {{"nofile", 1024, 20000}});
  ASSERT_TRUE(body) << body.error().message;
  EXPECT_EQ(json::parse(*body), json::parse(R"({
    "Image":"nvidia/samples:nbody","Tty":true,"Entrypoint":["/bin/sh","-c"],"Cmd":["nbody \"x\""],"WorkingDir":"/srv",
    "User":"1000","Env":["A=b=c","EMPTY="],"Labels":{"berth.dev/workload":"web"},
    "ExposedPorts":{"80/tcp":{},"53/udp":{}},
    "HostConfig":{
      "Mounts":[{"Type":"bind","Source":"/host","Target":"/in","ReadOnly":true},
                {"Type":"volume","Source":"data","Target":"/data","ReadOnly":false}],
      "Devices":[{"PathOnHost":"/dev/nvidia0","PathInContainer":"/dev/nvidia0","CgroupPermissions":"rwm"}],
      "Ulimits":[{"Name":"nofile","Soft":1024,"Hard":20000}],
      "PidMode":"host","IpcMode":"host","NetworkMode":"host","Privileged":true,"Memory":67108864,"NanoCpus":1500000000,
      "PortBindings":{"80/tcp":[{"HostPort":"8080"},{"HostPort":"8081"}],"53/udp":[{"HostPort":"53"}]}}})"));
}

TEST(EngineJsonTest, WhatIsNotStatedIsLeftToTheImageAndTheEngine) {
  const json::object body = bodyOf(minimal());
  for (const char* key : {"Entrypoint", "Cmd", "WorkingDir", "User", "ExposedPorts"}) {
    EXPECT_FALSE(body.contains(key)) << key;
  }
  for (const char* key : {"PidMode", "IpcMode", "NetworkMode", "Memory", "NanoCpus", "PortBindings"}) {
    EXPECT_FALSE(body.at("HostConfig").as_object().contains(key)) << key;
  }
}

TEST(EngineJsonTest, PathsThatAMountCannotSayAreRefused) {
  for (const Bind& bind : {Bind{"", "/t"}, Bind{"/s", ""}, Bind{"/a,b", "/t"}, Bind{"/s", "/t,ro"},
                           Bind{"relative", "/t"}, Bind{"/s", "relative"}, Bind{"/a\nb", "/t"}}) {
    ContainerConfig config = minimal();
    config.binds = {bind};
    const auto body = createBody(config, {});
    ASSERT_FALSE(body) << bind.source << " " << bind.target;
    EXPECT_EQ(body.error().code, ErrorCode::InvalidArgument);
  }
  ContainerConfig config = minimal();
  config.binds = {{"/with:colon", "/t"}};
  EXPECT_TRUE(createBody(config, {}));
}

TEST(EngineJsonTest, PortsRunFrom1To65535) {
  for (const auto& [port, fine] : {std::pair{0, false}, {1, true}, {65535, true}, {65536, false}}) {
    ContainerConfig config = minimal();
    config.ports = {{port, 80, "tcp"}};
    EXPECT_EQ(createBody(config, {}).has_value(), fine) << port;
    config.ports = {{80, port, "tcp"}};
    EXPECT_EQ(createBody(config, {}).has_value(), fine) << port;
  }
  ContainerConfig config = minimal();
  config.ports = {{80, 80, "icmp"}};
  EXPECT_FALSE(createBody(config, {}));
}

TEST(EngineJsonTest, LimitsOutsideWhatEnginesTakeAreRefused) {
  ContainerConfig config = minimal();
  config.memory_limit_bytes = 6 << 20;
  EXPECT_TRUE(createBody(config, {}));
  config.memory_limit_bytes -= 1;
  EXPECT_FALSE(createBody(config, {}));
  config.memory_limit_bytes = 0;
  for (const double cores : {-1.0, std::numeric_limits<double>::quiet_NaN(), 1e300}) {
    config.cpu_limit = cores;
    EXPECT_FALSE(createBody(config, {})) << cores;
  }
}

TEST(EngineJsonTest, AVariableNeedsANameWithoutEqualsSign) {
  for (const char* name : {"", "A=B"}) {
    ContainerConfig config = minimal();
    config.env = {{name, "x"}};
    EXPECT_FALSE(createBody(config, {})) << name;
  }
}

TEST(EngineJsonTest, LimitsStayWithinTheHardOnesOfThisProcess) {
  const auto plenty = containerUlimits(1 << 20, 1 << 20);
  ASSERT_EQ(plenty.size(), 2U);
  EXPECT_EQ(plenty[0].name, "nofile");
  EXPECT_EQ(plenty[0].soft, 1024);
  EXPECT_EQ(plenty[0].hard, 65536);
  EXPECT_EQ(plenty[1].name, "nproc");
  const auto few = containerUlimits(20000, 100);
  EXPECT_EQ(few[0].hard, 20000);
  EXPECT_EQ(few[1].soft, 100);
  EXPECT_EQ(few[1].hard, 100);
}

TEST(EngineJsonTest, ALabelFilterIsJsonWhateverTheLabel) {
  EXPECT_EQ(labelFilter("berth.dev/w", "a\"b"), R"({"label":["berth.dev/w=a\"b"]})");
}

TEST(EngineJsonTest, TimesAreReadToTheNanosecondAndInUtc) {
  const system_clock::time_point noon(seconds(1782907200));  // 2026-07-01T12:00:00Z
  EXPECT_EQ(parseTime("2026-07-01T12:00:00Z"), noon);
  EXPECT_EQ(parseTime("2026-07-01T14:00:00+02:00"), noon);
  EXPECT_EQ(parseTime("2026-07-01T06:30:00-05:30"), noon);
  EXPECT_EQ(parseTime("2026-07-01T12:00:00.5Z"), noon + std::chrono::milliseconds(500));
  EXPECT_EQ(parseTime("2026-07-01T12:00:00.123456789Z"), noon + nanoseconds(123456789));
}

TEST(EngineJsonTest, WhatIsNoTimeIsNone) {
  for (const char* bad :
       {"", "0001-01-01T00:00:00Z", "2026-07-01", "2026-07-01T12:00:00", "2026-13-01T12:00:00Z",
        "2026-02-30T12:00:00Z", "2026-07-01T24:00:00Z", "2026-07-01T12:60:00Z", "2026-07-01T12:00:00.Z",
        "2026-07-01T12:00:00.1234567890Z", "2026-07-01T12:00:00+2:00", "2026-07-01T12:00:00+24:00",
        "2026-07-01T12:00:00Zx", "2262-01-01T00:00:00Z"}) {
    EXPECT_EQ(parseTime(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace berth::container
