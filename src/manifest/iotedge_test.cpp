#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "manifest/test_text.h"
#include "manifest/workload.h"

namespace berth::manifest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

Manifest accepted(const std::string& text) {
  auto read = parse(text, "f.json");
  EXPECT_TRUE(read) << read.error().message << "\n" << text;
  return read ? *std::move(read) : Manifest{{Workload{}}, {}};
}

Container containerOf(const std::string& options) {
  const Manifest manifest = accepted(moduleWith(options));
  return manifest.workloads.at(0).containers.empty() ? Container{} : manifest.workloads[0].containers[0];
}

std::vector<std::string> warned(const std::string& text) {
  std::vector<std::string> paths;
  for (const Warning& warning : accepted(text).warnings) paths.push_back(warning.place.path);
  return paths;
}

void expectInvalid(const std::string& text, const std::string& message) {
  const Error error = errorOf(text);
  EXPECT_EQ(error.code, ErrorCode::InvalidArgument) << text << error.message;
  EXPECT_THAT(error.message, HasSubstr(message)) << text;
}

std::string agentWith(const std::string& fields) {
  return R"({"$edgeAgent":{"properties.desired":{)" + fields + "}}}";
}

const std::string kModules = R"("modules":{"m":{"type":"docker","settings":{"image":"i"}}})";
const std::string kModulePath = "$edgeAgent.properties.desired.modules.m";

TEST(IotEdgeTest, OptionsAreReadAsAMapAndAsAString) {
  EXPECT_THAT(containerOf(R"({"Cmd":["a"]})").args, ElementsAre("a"));
  EXPECT_THAT(containerOf(R"("{\"Cmd\":[\"a\"]}")").args, ElementsAre("a"));
  EXPECT_THAT(containerOf(R"("")").args, IsEmpty());
  EXPECT_THAT(containerOf("null").args, IsEmpty());
}

TEST(IotEdgeTest, OptionsInPiecesAreJoined) {
  EXPECT_THAT(containerOf(R"("{\"Cmd\":[", "createOptions01": "\"a\"", "createOptions02": "]}")").args,
              ElementsAre("a"));
  expectInvalid(moduleWith(R"("{\"Cmd\":[", "createOptions02": "]}")"),
                "a piece of createOptions before this one is missing");
}

TEST(IotEdgeTest, OptionsThatAreNotJsonAreNamedWithThePlaceOfTheError) {
  expectInvalid(moduleWith(R"("{\n  oops}")"), kModulePath + ".settings.createOptions: not JSON");
  expectInvalid(moduleWith(R"("{\n  oops}")"), "line 2, column 3 of the string");
  expectInvalid(moduleWith(R"("5")"), "createOptions: must be a map, not a number");
  expectInvalid(moduleWith("5"), "createOptions: must be a text");
  expectInvalid(moduleWith(R"("{\"Cmd\":[],\"Cmd\":[]}")"), "the key \"Cmd\" is there twice");
}

TEST(IotEdgeTest, TheEnvironmentIsTheManifestsAndThenTheOptions) {
  const Manifest m =
      accepted(moduleWith(R"({"Env":["B=3","C=a=b","D"]})",
                          R"("env":{"A":{"value":"1"},"B":{"value":2},"X:Y":{"value":true}},)"));
  EXPECT_THAT(m.workloads[0].containers[0].env,
              ElementsAre(Pair("A", "1"), Pair("X:Y", "true"), Pair("B", "3"), Pair("C", "a=b")));
  EXPECT_EQ(m.warnings.size(), 2U);  // B is set twice, D sets nothing.
}

TEST(IotEdgeTest, TheTranslationTableHolds) {
  const Manifest m = accepted(moduleWith(
      R"j({"Entrypoint":["/e"],"Cmd":["c","$(A)"],"WorkingDir":"/w","Labels":{"l":"v"},"User":"5","Tty":true,
          "ExposedPorts":{"80/tcp":{},"90/udp":{}},
          "HostConfig":{
  "IpcMode":"Host","PidMode":"HOST","NetworkMode":"host","Privileged":true,
            "PortBindings":{"80/tcp":[{"HostPort":"8080"}]},"Memory":1048576,"NanoCpus":1500000000,
            "Mounts":[{"Type":"volume","Source":"share","Target":"/v"},{"Type":"bind","Source":"/s","Target":"/t","ReadOnly":true}],
            "Binds":["/a:/b:ro","vol:/c"]}})j"));
  const Workload& w = m.workloads[0];
  const Container& c = w.containers[0];
  EXPECT_THAT(m.warnings, IsEmpty());
  EXPECT_EQ(w.kind, Kind::IotEdgeModule);
  EXPECT_TRUE(w.host_ipc && w.host_pid && w.host_network && c.privileged && c.tty);
  EXPECT_THAT(c.command, ElementsAre("/e"));
  EXPECT_THAT(c.args, ElementsAre("c", "$(A)"));
  EXPECT_EQ(c.working_dir, "/w");
  EXPECT_EQ(c.run_as_user, 5);
  EXPECT_THAT(w.annotations, ElementsAre(Pair("l", "v")));
  EXPECT_THAT(c.ports, ElementsAre(Port{80, 8080, "tcp"}, Port{90, 0, "udp"}));
  EXPECT_THAT(c.mounts,
              ElementsAre(Mount{"share", "/v", false, true, false}, Mount{"/s", "/t", true, false, false},
                          Mount{"/a", "/b", true, false, false}, Mount{"vol", "/c", false, true, false}));
  EXPECT_EQ(c.memory_limit_bytes, 1048576);
  EXPECT_DOUBLE_EQ(c.cpu_limit, 1.5);
}

TEST(IotEdgeTest, A12TheExperimentalSectionIsReadInAnyCaseAndOverridesLimits) {
  const Container c = containerOf(
      R"({"HostConfig":{"Memory":5},"K8s-Experimental":{"Resources":{"limits":{"nvidia.com/gpu":2,"memory":"1Mi"}},
          "Volumes":[{"volume":{"name":"v","hostPath":{"path":"/p"}},"volumeMounts":[{"name":"v","mountPath":"/m"}]}],
          "SecurityContext":{"runAsUser":9}}})");
  EXPECT_EQ(c.gpu.whole, 2);
  EXPECT_EQ(c.memory_limit_bytes, 1048576);
  EXPECT_THAT(c.mounts, ElementsAre(Mount{"/p", "/m", false, false, false}));
  EXPECT_EQ(c.run_as_user, 9);
}

TEST(IotEdgeTest, UnknownAndUnusedKeysAreWarnings) {
  const std::string options = kModulePath + ".settings.createOptions.";
  EXPECT_THAT(warned(moduleWith(
                  R"({"Colour":1,"Hostname":"h","HostConfig":{"Runtime":"nvidia","IpcMode":"shareable","X":1},
                                    "k8s-experimental":{"strategy":{},"nodeSelector":{},"y":1}})",
                  R"("startupOrder":1,"imagePullPolicy":"never","z":1,)")),
              testing::UnorderedElementsAre(options + "Colour", options + "Hostname",
                                            options + "HostConfig.Runtime", options + "HostConfig.IpcMode",
                                            options + "HostConfig.X", options + "k8s-experimental.strategy",
                                            options + "k8s-experimental.nodeSelector",
                                            options + "k8s-experimental.y", kModulePath + ".startupOrder",
                                            kModulePath + ".imagePullPolicy", kModulePath + ".z"));
}

TEST(IotEdgeTest, DeviceRequestsAreRefused) {
  const Error error = errorOf(moduleWith(R"({"HostConfig":{"DeviceRequests":[{"Count":-1}]}})"));
  EXPECT_EQ(error.code, ErrorCode::Refused);
  EXPECT_EQ(error.reason, "DeviceRequestsNotSupported");
  EXPECT_TRUE(warned(moduleWith(R"({"HostConfig":{"DeviceRequests":[]}})")).empty());
}

TEST(IotEdgeTest, A10AndB13HoldForModulesToo) {
  const std::string env = R"("env":{"NVIDIA_VISIBLE_DEVICES":{"value":"0,1"}},)";
  EXPECT_EQ(errorOf(moduleWith("{}", env)).reason, "MultipleGpusByName");
  EXPECT_EQ(
      errorOf(
          moduleWith(
              R"({"Env":["NVIDIA_VISIBLE_DEVICES=0"],"k8s-experimental":{"resources":{"limits":{"nvidia.com/gpu":1}}}})"))
          .reason,
      "ConflictingGpuRequest");
  const auto labelled = accepted(moduleWith(
      R"({"Labels":{"berth.dev/enforcement":"best-effort"},"k8s-experimental":{"resources":{"limits":{"berth.dev/gpu-memory":5}}}})"));
  EXPECT_TRUE(labelled.workloads[0].containers[0].gpu.best_effort);
}

TEST(IotEdgeTest, StatusAndRestartPolicyAreRead) {
  const auto with = [](const std::string& parts) { return accepted(moduleWith("{}", parts)).workloads[0]; };
  EXPECT_EQ(with("").replicas, 1);
  EXPECT_EQ(with(R"("status":"stopped",)").replicas, 0);
  EXPECT_EQ(with(R"("restartPolicy":"never",)").restart, RestartPolicy::Never);
  EXPECT_EQ(with(R"("restartPolicy":"always",)").restart, RestartPolicy::Always);
  EXPECT_EQ(with(R"("restartPolicy":"on-failure",)").restart, RestartPolicy::OnFailure);
  EXPECT_EQ(with(R"("restartPolicy":"on-unhealthy",)").restart, RestartPolicy::OnFailure);
  EXPECT_THAT(warned(moduleWith("{}", R"("restartPolicy":"on-unhealthy",)")),
              ElementsAre(kModulePath + ".restartPolicy"));
  expectInvalid(moduleWith("{}", R"("status":"paused",)"), "must be running or stopped");
  expectInvalid(moduleWith("{}", R"("restartPolicy":"maybe",)"), "must be always, never");
}

TEST(IotEdgeTest, TheSchemaVersionIsChecked) {
  accepted(agentWith(R"("schemaVersion":"1.0",)" + kModules));
  accepted(agentWith(R"("schemaVersion":"1.1",)" + kModules));
  expectInvalid(agentWith(R"("schemaVersion":"2.0",)" + kModules), "schemaVersion: must be 1.0 or 1.1");
  expectInvalid(agentWith(R"("schemaVersion":1.1,)" + kModules), "schemaVersion: must be a text");
  expectInvalid(agentWith(kModules), "schemaVersion is required");
}

TEST(IotEdgeTest, ModuleIdsThatBecomeOneNameCollide) {
  const std::string module = R"({"type":"docker","settings":{"image":"i"}})";
  const auto with = [&](const std::string& a, const std::string& b) {
    return agentWith("\"schemaVersion\":\"1.1\",\"modules\":{\"" + a + "\":" + module + ",\"" + b +
                     "\":" + module + "}");
  };
  const Manifest m = accepted(with("My_Module", "other"));
  EXPECT_EQ(m.workloads[0].name.value, "mymodule");
  EXPECT_EQ(m.workloads[0].original_name, "My_Module");
  expectInvalid(with("My_Module", "mymodule"),
                "becomes the DNS name \"mymodule\", which is taken by f.yaml:1 "
                "$edgeAgent.properties.desired.modules.My_Module");
  expectInvalid(with("123", "a"), "gives no DNS name");
}

TEST(IotEdgeTest, WhatBelongsToTheCloudIsAWarning) {
  EXPECT_THAT(
      warned(R"({"modulesContent":{"$edgeAgent":{"properties.desired":{"schemaVersion":"1.1",
                  "systemModules":{"edgeHub":{}},"runtime":{"type":"docker","settings":{"registryCredentials":{}}},)" +
             kModules + R"(}},"$edgeHub":{"properties.desired":{"routes":{}}},"m":{"properties.desired":{}},
                  "n":{"properties.desired":{"a":1}}}})"),
      testing::UnorderedElementsAre(
          "modulesContent.$edgeAgent.properties.desired.systemModules.edgeHub",
          "modulesContent.$edgeAgent.properties.desired.runtime.settings.registryCredentials",
          "modulesContent.$edgeHub", "modulesContent.n"));
}

TEST(IotEdgeTest, AFieldOfTheWrongTypeIsNamed) {
  const std::pair<const char*, const char*> options[] = {
      {R"({"Env":"A=b"})", "Env: must be a list"},
      {R"({"Env":[1]})", "Env[0]: must be a text"},
      {R"({"Cmd":[1]})", "Cmd[0]: must be a text"},
      {R"({"Entrypoint":{}})", "Entrypoint: must be a list"},
      {R"({"HostConfig":[]})", "HostConfig: must be a map"},
      {R"({"HostConfig":{"Privileged":"yes"}})", "Privileged: must be true or false"},
      {R"({"HostConfig":{"Memory":"1"}})", "Memory: must be a whole number"},
      {R"({"HostConfig":{"NanoCpus":-1}})", "NanoCpus: must be from 0"},
      {R"({"HostConfig":{"PortBindings":{"x":[]}}})", "is not a port like 80/tcp"},
      {R"({"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"0"}]}}})", "is not a port"},
      {R"({"HostConfig":{"Binds":["a"]}})", "must be source:target"},
      {R"({"HostConfig":{"Mounts":[{"Type":"tmpfs","Target":"/t"}]}})", "are not supported here"},
      {R"({"HostConfig":{"IpcMode":1}})", "IpcMode: must be a text"},
      {R"({"Labels":[]})", "Labels: must be a map"},
  };
  for (const auto& [text, message] : options) expectInvalid(moduleWith(text), message);
  expectInvalid(agentWith(R"("schemaVersion":"1.1","modules":[])"), "modules: must be a map");
  expectInvalid(agentWith(R"("schemaVersion":"1.1","modules":{})"), "no objects");
  expectInvalid(agentWith(R"("schemaVersion":"1.1","modules":{"m":{"type":"docker"}})"),
                "settings is required");
  expectInvalid(agentWith(R"("schemaVersion":"1.1","modules":{"m":{"type":"oci","settings":{}}})"),
                "must be docker");
  expectInvalid(
      agentWith(
          R"("schemaVersion":"1.1","modules":{"m":{"type":"docker","settings":{"image":"${MODULES.m}"}}})"),
      "placeholder");
  expectInvalid(R"({"modulesContent":{}})", "$edgeAgent is required");
}

}  // namespace
}  // namespace berth::manifest
