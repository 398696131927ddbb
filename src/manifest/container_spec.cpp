#include "manifest/container_spec.h"

#include <string>
#include <utility>

#include "base/text.h"
#include "manifest/environment.h"
#include "manifest/failure.h"
#include "manifest/names.h"
#include "manifest/resources.h"

namespace berth::manifest {
namespace {

Result<std::string> fieldOfPod(const Value& value, const Workload& workload, std::vector<Warning>& warnings) {
  TRY(Object ref, Object::of(value, warnings));
  ref.accept({"apiVersion"});
  TRY(const Value path, ref.require("fieldPath"));
  TRY(const std::string field, path.text());
  ref.finish();
  if (field == "metadata.name") return workload.name.value;
  if (field == "metadata.namespace") return workload.name_space;
  return path.invalid(quoted(field) +
                      " is not known here; fieldRef gives metadata.name and metadata.namespace");
}

Result<std::string> valueFrom(const Value& value, const Workload& workload, std::vector<Warning>& warnings) {
  TRY(Object source, Object::of(value, warnings));
  const auto field = source.find("fieldRef");
  if (!field || value.node().entries.size() != 1) {
    return value.invalid(
        "only fieldRef is supported here (there is no cluster that would keep config maps or secrets)");
  }
  return fieldOfPod(*field, workload, warnings);
}

Result<void> readVariable(const Value& value, const Workload& workload, Environment& environment,
                          std::vector<Warning>& warnings) {
  TRY(Object object, Object::of(value, warnings));
  TRY(const Value name, object.require("name"));
  TRY(std::string variable, name.text());
  if (!isEnvironmentName(variable)) return name.invalid(quoted(variable) + " is not a variable's name");
  const auto literal = object.find("value");
  const auto source = object.find("valueFrom");
  if (literal && source) return source->invalid("value and valueFrom exclude each other");
  std::string text;
  if (literal) {
    TRY(const std::string written, literal->text());
    text = environment.expand(written);
  }
  if (source) {
    TRY(text, valueFrom(*source, workload, warnings));
  }
  object.finish();
  environment.set(std::move(variable), std::move(text), literal ? literal->place() : value.place(), warnings);
  return {};
}

Result<Environment> readEnvironment(Object& object, const Workload& workload,
                                    std::vector<Warning>& warnings) {
  Environment environment;
  TRY(const std::vector<Value> variables, object.list("env"));
  for (const Value& variable : variables) {
    TRY_VOID(readVariable(variable, workload, environment, warnings));
  }
  if (const auto from = object.find("envFrom"); from && !from->node().items.empty()) {
    return from->invalid("envFrom is not supported here; write the variables under env");
  }
  return environment;
}

Result<std::vector<std::string>> readWords(Object& object, std::string_view key,
                                           const Environment& environment) {
  const auto value = object.find(key);
  if (!value) return std::vector<std::string>{};
  TRY(std::vector<std::string> words, value->texts());
  for (std::string& word : words) word = environment.expand(word);
  return words;
}

Result<Port> readPort(const Value& value, bool host_network, std::vector<Warning>& warnings) {
  TRY(Object object, Object::of(value, warnings));
  TRY(const Value number, object.require("containerPort"));
  TRY(const std::int64_t inside, number.integer(1, kMaxPort));
  TRY(const std::int64_t outside, object.integer("hostPort", 0, 0, kMaxPort));
  if (host_network && outside != 0 && outside != inside) {
    return value.invalid("hostPort must be containerPort, since the pod uses the host's network");
  }
  TRY(const std::string protocol, object.text("protocol", "TCP"));
  if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP") {
    return value.invalid("protocol must be TCP, UDP or SCTP, not " + quoted(protocol));
  }
  TRY_VOID(object.text("name"));
  object.noEffect({"hostIP"});
  object.finish();
  return Port{static_cast<int>(inside), static_cast<int>(outside), toLower(protocol)};
}

Result<void> readPorts(Object& object, bool host_network, Container& container,
                       std::vector<Warning>& warnings) {
  TRY(const std::vector<Value> ports, object.list("ports"));
  for (const Value& value : ports) {
    TRY(Port port, readPort(value, host_network, warnings));
    for (const Port& other : container.ports) {
      if (port.host_port != 0 && port.host_port == other.host_port && port.protocol == other.protocol) {
        return value.invalid("the host's port " + std::to_string(port.host_port) + " is taken twice");
      }
    }
    container.ports.push_back(std::move(port));
  }
  return {};
}

Result<void> readSecurity(const Value& value, Container& container, std::vector<Warning>& warnings) {
  TRY(Object object, Object::of(value, warnings));
  TRY(container.privileged, object.boolean("privileged"));
  if (const auto user = object.find("runAsUser")) {
    TRY(container.run_as_user, user->integer(0, kMaxUserId));
  }
  object.noEffect({"allowPrivilegeEscalation", "appArmorProfile", "capabilities", "procMount",
                   "readOnlyRootFilesystem", "runAsGroup", "runAsNonRoot", "seLinuxOptions", "seccompProfile",
                   "windowsOptions"});
  object.finish();
  return {};
}

Result<void> readIdentity(Object& object, Container& container) {
  TRY(const Value name, object.require("name"));
  TRY(container.name, name.text());
  if (!isDnsLabel(container.name)) {
    return name.invalid(quoted(container.name) + " is not a DNS label (up to 63 of a-z, 0-9 and -)");
  }
  TRY(const Value image, object.require("image"));
  TRY(container.image, image.text());
  if (container.image.empty() || trim(container.image) != container.image) {
    return image.invalid("must name an image, without blanks around it");
  }
  return {};
}

Result<void> readPullPolicy(Object& object) {
  const auto value = object.find("imagePullPolicy");
  if (!value) return {};
  TRY(const std::string policy, value->text());
  if (policy != "Always" && policy != "IfNotPresent" && policy != "Never") {
    return value->invalid("must be Always, IfNotPresent or Never, not " + quoted(policy));
  }
  if (policy == "Always")
    object.warn("imagePullPolicy", "has no effect here; an image that is there is not pulled");
  return {};
}

Result<void> readMounts(Object& object, const Volumes& volumes, Container& container,
                        std::vector<Warning>& warnings) {
  TRY(const std::vector<Value> mounts, object.list("volumeMounts"));
  for (const Value& mount : mounts) {
    TRY_VOID(readVolumeMount(mount, volumes, container, warnings, Keys::Exact));
  }
  if (const auto devices = object.find("volumeDevices"); devices && !devices->node().items.empty()) {
    return devices->invalid("volumeDevices are not supported here");
  }
  return {};
}

}  // namespace

Result<Container> readContainer(const Value& value, const PodContext& pod, std::vector<Warning>& warnings) {
  TRY(Object object, Object::of(value, warnings));
  Container container;
  container.run_as_user = pod.run_as_user;
  TRY_VOID(readIdentity(object, container));
  TRY_VOID(readPullPolicy(object));
  TRY(const Environment environment, readEnvironment(object, pod.workload, warnings));
  TRY(container.command, readWords(object, "command", environment));
  TRY(container.args, readWords(object, "args", environment));
  TRY(container.working_dir, object.text("workingDir"));
  TRY(container.tty, object.boolean("tty"));
  TRY_VOID(readPorts(object, pod.workload.host_network, container, warnings));
  TRY_VOID(readMounts(object, pod.volumes, container, warnings));
  if (const auto security = object.find("securityContext")) {
    TRY_VOID(readSecurity(*security, container, warnings));
  }
  if (const auto resources = object.find("resources")) {
    TRY_VOID(readResources(*resources, container, warnings));
  }
  TRY_VOID(applyEnvironment(environment, container, warnings));
  container.gpu.best_effort = pod.best_effort;
  object.noEffect({"lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "resizePolicy",
                   "restartPolicy", "stdin", "stdinOnce", "terminationMessagePath",
                   "terminationMessagePolicy"});
  object.finish();
  return container;
}

}  // namespace berth::manifest
