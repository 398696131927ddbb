#include <algorithm>
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
using testing::Pair;

Manifest accepted(const std::string& text) {
  auto read = parse(text, "f.yaml");
  EXPECT_TRUE(read) << read.error().message << "\n" << text;
  return read ? *std::move(read) : Manifest{{Workload{}}, {}};
}

Container containerOf(const std::string& lines) {
  const Manifest manifest = accepted(podWith(lines));
  return manifest.workloads.at(0).containers.empty() ? Container{} : manifest.workloads[0].containers[0];
}

std::string podSpec(const std::string& fields) {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i}], " +
         fields + "}\n";
}

std::string job(const std::string& fields, const std::string& restart = "restartPolicy: Never, ") {
  return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {" + fields + "template: {spec: {" +
         restart + "containers: [{name: c, image: i}]}}}\n";
}

std::string deployment(const std::string& fields, const std::string& labels = "{app: x}",
                       const std::string& pod = "") {
  return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, labels: {own: z}}\nspec: {" + fields +
         "selector: {matchLabels: {app: x}}, template: {metadata: {labels: " + labels + "}, spec: {" + pod +
         "containers: [{name: c, image: i}]}}}\n";
}

void expectInvalid(const std::string& text, const std::string& message) {
  const Error error = errorOf(text);
  EXPECT_EQ(error.code, ErrorCode::InvalidArgument) << text << error.message;
  EXPECT_THAT(error.message, HasSubstr(message)) << text;
}

std::vector<std::string> warned(const std::string& text) {
  std::vector<std::string> paths;
  for (const Warning& warning : accepted(text).warnings) paths.push_back(warning.place.path);
  return paths;
}

TEST(KubernetesTest, RestartPoliciesDependOnTheKind) {
  EXPECT_EQ(accepted(podSpec("")).workloads[0].restart, RestartPolicy::Always);
  EXPECT_EQ(accepted(podSpec("restartPolicy: OnFailure")).workloads[0].restart, RestartPolicy::OnFailure);
  EXPECT_EQ(accepted(job("")).workloads[0].restart, RestartPolicy::Never);
  EXPECT_EQ(accepted(job("", "restartPolicy: OnFailure, ")).workloads[0].restart, RestartPolicy::OnFailure);
  EXPECT_EQ(accepted(deployment("")).workloads[0].restart, RestartPolicy::Always);
  expectInvalid(podSpec("restartPolicy: Sometimes"),
                "spec.restartPolicy: must be Always or OnFailure or Never");
  expectInvalid(job("", ""), "restartPolicy is required here: OnFailure or Never");
  expectInvalid(job("", "restartPolicy: Always, "), "must be OnFailure or Never here");
  expectInvalid(deployment("", "{app: x}", "restartPolicy: Never, "), "must be Always here");
}

TEST(KubernetesTest, AJobsNumbersAreReadWithKubernetesDefaults) {
  const Workload plain = accepted(job("")).workloads[0];
  EXPECT_EQ(plain.backoff_limit, 6);
  EXPECT_EQ(plain.completions, 1);
  EXPECT_EQ(plain.parallelism, 1);
  EXPECT_EQ(plain.active_deadline_s, 0);
  const Workload set =
      accepted(job("backoffLimit: 0, completions: 3, parallelism: 2, activeDeadlineSeconds: 9, "))
          .workloads[0];
  EXPECT_EQ(set.backoff_limit, 0);
  EXPECT_EQ(set.completions, 3);
  EXPECT_EQ(set.parallelism, 2);
  EXPECT_EQ(set.active_deadline_s, 9);
  for (const char* bad :
       {"backoffLimit: -1, ", "backoffLimit: \"1\", ", "completions: 1.5, ", "parallelism: 1001, ",
        "activeDeadlineSeconds: 0, ", "suspend: true, ", "completionMode: Indexed, "}) {
    expectInvalid(job(bad), "spec.");
  }
}

TEST(KubernetesTest, ADeploymentMustSelectItsOwnPods) {
  const Workload set = accepted(deployment("replicas: 3, strategy: {type: Recreate}, ")).workloads[0];
  EXPECT_EQ(set.replicas, 3);
  EXPECT_THAT(set.labels, ElementsAre(Pair("app", "x"), Pair("own", "z")));
  expectInvalid(deployment("", "{app: z}"), "does not match the labels of the pod template");
  expectInvalid(deployment("", "{}"), "does not match the labels of the pod template");
  expectInvalid(deployment("replicas: -1, "), "spec.replicas: must be from 0");
  expectInvalid(deployment("strategy: {type: Canary}, "), "must be Recreate or RollingUpdate");
  EXPECT_THAT(warned(deployment("strategy: {type: RollingUpdate}, ")), ElementsAre("spec.strategy"));
}

TEST(KubernetesTest, NamesFollowDns1123) {
  const auto named = [](const std::string& name) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name +
           "}\nspec: {containers: [{name: c, image: i}]}\n";
  };
  EXPECT_EQ(accepted(named("a.b-c")).workloads[0].name.value, "a.b-c");
  EXPECT_EQ(accepted(named(std::string(63, 'a'))).workloads[0].name.value.size(), 63U);
  for (const char* bad : {"Pod", "-a", "a_b", "\"\"", "5", "[a]"}) expectInvalid(named(bad), "metadata.name");
  expectInvalid("apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\nspec: {}\n",
                "generateName is not supported");
  expectInvalid("apiVersion: v1\nkind: Pod\nspec: {}\n", "metadata is required");
}

TEST(KubernetesTest, CommandAndArgumentsExpandTheContainersVariables) {
  const Container c = containerOf(
      "env:\n- {name: A, value: one}\n- {name: B, value: $(A)-two}\n- {name: NAME, valueFrom: {fieldRef: "
      "{fieldPath: "
      "metadata.name}}}\n- {name: S, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}\n"
      "command: [\"$(B)\", \"$$(A)\", \"$(MISSING)\", \"$\", \"$(A\", \"a$b\"]\nargs: [\"$(NAME)/$(S)\"]");
  EXPECT_THAT(c.env,
              ElementsAre(Pair("A", "one"), Pair("B", "one-two"), Pair("NAME", "p"), Pair("S", "default")));
  EXPECT_THAT(c.command, ElementsAre("one-two", "$(A)", "$(MISSING)", "$", "$(A", "a$b"));
  EXPECT_THAT(c.args, ElementsAre("p/default"));
}

TEST(KubernetesTest, EnvironmentSourcesOfAClusterAreRefused) {
  expectInvalid(podWith("envFrom: [{configMapRef: {name: x}}]"), "envFrom is not supported");
  expectInvalid(podWith("env: [{name: A, valueFrom: {secretKeyRef: {name: x, key: y}}}]"),
                "only fieldRef is supported");
  expectInvalid(podWith("env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]"),
                "metadata.name and");
  expectInvalid(podWith("env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]"),
                "exclude");
  expectInvalid(podWith("env: [{name: \"A=B\", value: x}]"), "is not a variable's name");
}

TEST(KubernetesTest, AVariableSetTwiceKeepsTheLastValueAndWarns) {
  const std::string text = podWith("env: [{name: A, value: first}, {name: A, value: last}]");
  EXPECT_THAT(accepted(text).workloads[0].containers[0].env, ElementsAre(Pair("A", "last")));
  EXPECT_THAT(warned(text), ElementsAre("spec.containers[0].env[1].value"));
}

TEST(KubernetesTest, VolumesAreHostPathsAndEmptyDirectories) {
  const auto with = [](const std::string& volume, const std::string& mount) {
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {volumes: [" + volume +
           "], containers: [{name: c, image: i, volumeMounts: [" + mount + "]}]}\n";
  };
  const auto mounts =
      accepted(with("{name: h, hostPath: {path: /srv}}, {name: e, emptyDir: {}}",
                    "{name: h, mountPath: /a, readOnly: true, subPath: x/y}, {name: e, mountPath: /b}"))
          .workloads[0]
          .containers[0]
          .mounts;
  EXPECT_THAT(mounts,
              ElementsAre(Mount{"/srv/x/y", "/a", true, false, false}, Mount{"e", "/b", false, true, true}));
  expectInvalid(with("{name: s, secret: {secretName: x}}", ""),
                "volumes[0]: this kind of volume is not supported");
  expectInvalid(with("{name: h, hostPath: {path: srv}}", ""), "must be an absolute path");
  expectInvalid(with("{name: h, hostPath: {path: /a/../b}}", ""), "without \"..\"");
  expectInvalid(with("", "{name: h, mountPath: /a}"), "there is no volume of the name \"h\"");
  expectInvalid(with("{name: h, emptyDir: {}}, {name: h, emptyDir: {}}", ""), "two volumes");
  expectInvalid(with("{name: h, emptyDir: {}}", "{name: h, mountPath: /a}, {name: h, mountPath: /a}"),
                "mounted twice");
  expectInvalid(with("{name: h, hostPath: {path: /a}}", "{name: h, mountPath: /a, subPath: ../b}"),
                "relative path");
}

TEST(KubernetesTest, PortsAreChecked) {
  EXPECT_THAT(
      containerOf("ports: [{containerPort: 80}, {containerPort: 65535, hostPort: 1, protocol: UDP}]").ports,
      ElementsAre(Port{80, 0, "tcp"}, Port{65535, 1, "udp"}));
  for (const char* bad : {"{containerPort: 0}", "{containerPort: 65536}", "{}",
                          "{containerPort: 1, hostPort: 65536}", "{containerPort: 1, protocol: tcp}"}) {
    expectInvalid(podWith("ports: [" + std::string(bad) + "]"), "ports[0]");
  }
  expectInvalid(podWith("ports: [{containerPort: 1, hostPort: 5}, {containerPort: 2, hostPort: 5}]"),
                "taken twice");
}

TEST(KubernetesTest, SecurityNamespacesAndLimitsAreRead) {
  const Workload w =
      accepted(podSpec("hostPID: true, hostIPC: true, hostNetwork: true, terminationGracePeriodSeconds: "
                       "0, activeDeadlineSeconds: 5, securityContext: {runAsUser: 7}"))
          .workloads[0];
  EXPECT_TRUE(w.host_pid && w.host_ipc && w.host_network);
  EXPECT_EQ(w.termination_grace_s, 0);
  EXPECT_EQ(w.active_deadline_s, 5);
  EXPECT_EQ(w.containers[0].run_as_user, 7);
  const Container c = containerOf(
      "securityContext: {privileged: true, runAsUser: 0}\nresources: {limits: {memory: 128Mi, cpu: "
      "200m}}\ntty: true");
  EXPECT_TRUE(c.privileged && c.tty);
  EXPECT_EQ(c.run_as_user, 0);
  EXPECT_EQ(c.memory_limit_bytes, 134217728);
  EXPECT_DOUBLE_EQ(c.cpu_limit, 0.2);
  expectInvalid(podWithLimits("{memory: -1}"), "must be a quantity");
  expectInvalid(podWith("resources: {limits: {memory: 1Mi}, requests: {memory: 2Mi}}"), "less than or equal");
}

TEST(KubernetesTest, ContainersThatAreNotSupportedAreRefused) {
  expectInvalid(podSpec("initContainers: [{name: x, image: i}]"),
                "spec.initContainers: is not supported here");
  EXPECT_TRUE(warned(podSpec("initContainers: []")).empty());
  expectInvalid("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: []}\n",
                "at least one container");
  expectInvalid(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, image: i}, {name: c, "
      "image: i}]}\n",
      "two containers of the name \"c\"");
}

TEST(KubernetesTest, UnusedAndUnknownFieldsAreWarningsWithTheirPath) {
  EXPECT_THAT(
      warned(podWith(
          "livenessProbe: {}\nimagePull: x\nresources: {limits: {amd.com/gpu: 1}, requests: {cpu: 1}}")),
      testing::UnorderedElementsAre("spec.containers[0].livenessProbe", "spec.containers[0].imagePull",
                                    "spec.containers[0].resources.limits.amd.com/gpu",
                                    "spec.containers[0].resources.requests.cpu"));
  EXPECT_THAT(warned(podSpec("nodeSelector: {a: b}, colour: red")),
              ElementsAre("spec.nodeSelector", "spec.colour"));
  EXPECT_THAT(warned(podSpec("") + "extra: 1\n"), ElementsAre("extra"));
}

TEST(KubernetesTest, AFieldOfTheWrongTypeIsNamed) {
  const std::pair<const char*, const char*> container[] = {
      {"command: x", "command: must be a list, not a text"},
      {"args: [1]", "args[0]: must be a text, not a number (write it in quotes: \"1\")"},
      {"env: {}", "env: must be a list, not a map"},
      {"env: [{name: A, value: 20}]",
       "env[0].value: must be a text, not a number (write it in quotes: \"20\")"},
      {"env: [{name: A, value: yes}]", "env[0].value: must be a text, not a boolean"},
      {"env: [x]", "env[0]: must be a map, not a text"},
      {"ports: 80", "ports: must be a list, not a number"},
      {"ports: [{containerPort: \"80\"}]", "containerPort: must be a whole number, not a text"},
      {"volumeMounts: x", "volumeMounts: must be a list"},
      {"securityContext: []", "securityContext: must be a map, not a list"},
      {"securityContext: {privileged: \"true\"}", "privileged: must be true or false, not a text"},
      {"securityContext: {runAsUser: root}", "runAsUser: must be a whole number"},
      {"resources: 5", "resources: must be a map, not a number"},
      {"resources: {limits: []}", "limits: must be a map"},
      {"resources: {limits: {memory: []}}", "memory: must be a text or a number"},
      {"tty: 1", "tty: must be true or false"},
      {"workingDir: []", "workingDir: must be a text"},
      {"imagePullPolicy: Often", "must be Always, IfNotPresent or Never"},
  };
  for (const auto& [lines, message] : container) expectInvalid(podWith(lines), message);
  const std::pair<const char*, const char*> pod[] = {
      {"hostPID: 1", "spec.hostPID: must be true or false"},
      {"hostIPC: x", "spec.hostIPC: must be true or false"},
      {"hostNetwork: []", "spec.hostNetwork: must be true or false"},
      {"terminationGracePeriodSeconds: -1", "must be from 0"},
      {"volumes: {}", "spec.volumes: must be a list"},
      {"securityContext: x", "spec.securityContext: must be a map"},
      {"restartPolicy: 1", "spec.restartPolicy: must be a text"},
  };
  for (const auto& [fields, message] : pod) expectInvalid(podSpec(fields), message);
  expectInvalid("apiVersion: 1\nkind: Pod\n", "apiVersion: must be a text");
  expectInvalid("apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: [a]}\nspec: {}\n",
                "labels: must be a map");
  expectInvalid("apiVersion: v1\nkind: Pod\nmetadata: {name: p, annotations: {a: 1}}\nspec: {}\n",
                "annotations.a: must be a text");
}

TEST(KubernetesTest, AListHoldsObjectsButNoOtherList) {
  const std::string pod =
      "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: i}]}}";
  EXPECT_EQ(accepted("apiVersion: v1\nkind: List\nitems: [" + pod + "]\n").workloads.size(), 1U);
  expectInvalid("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]\n",
                "List inside a List");
  expectInvalid("apiVersion: v1\nkind: List\nitems: []\n", "no objects");
  expectInvalid("apiVersion: v1\nkind: List\nitems: [" + pod + ", {apiVersion: v1, kind: Node}]\n",
                "items[1].kind");
}

}  // namespace
}  // namespace berth::manifest
