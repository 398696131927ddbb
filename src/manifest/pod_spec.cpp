#include "manifest/pod_spec.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/text.h"
#include "manifest/container_spec.h"
#include "manifest/failure.h"
#include "manifest/names.h"
#include "manifest/volumes.h"

namespace berth::manifest {
namespace {

constexpr std::string_view kEnforcement = "berth.dev/enforcement";
constexpr std::size_t kMaxAnnotationBytes = 256UL * 1024;  // Of one object, in Kubernetes.

Result<void> readLabels(Object& object, Pairs& labels) {
  const auto value = object.find("labels");
  if (!value) return {};
  TRY(const Pairs pairs, value->pairs());
  for (const auto& [key, text] : pairs) {
    if (!isQualifiedName(key)) return value->invalid(quoted(key) + " is not a label's key");
    if (!isLabelValue(text)) return value->invalid(quoted(text) + " is not a label's value");
    setPair(labels, key, text);
  }
  return {};
}

Result<void> readAnnotations(Object& object, Pairs& annotations) {
  const auto value = object.find("annotations");
  if (!value) return {};
  TRY(const Pairs pairs, value->pairs());
  std::size_t bytes = 0;
  for (const auto& [key, text] : pairs) {
    if (!isQualifiedName(toLower(key))) return value->invalid(quoted(key) + " is not an annotation's key");
    bytes += key.size() + text.size();
    setPair(annotations, key, text);
  }
  if (bytes > kMaxAnnotationBytes) return value->invalid("annotations are limited to 256 KiB");
  return {};
}

void ignoreServerFields(Object& object) {
  object.accept({"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"});
  object.noEffect({"finalizers", "ownerReferences", "deletionGracePeriodSeconds", "deletionTimestamp"});
}

Result<RestartPolicy> readRestartPolicy(Object& spec, const RestartRule& rule) {
  std::string choices;
  for (const RestartPolicy policy : rule.allowed) {
    choices += (choices.empty() ? "" : " or ") + std::string(name(policy));
  }
  const auto value = spec.find("restartPolicy");
  if (!value && !rule.required) return *rule.allowed.begin();
  if (!value) return invalid(spec.place(), "restartPolicy is required here: " + choices);
  TRY(const std::string text, value->text());
  for (const RestartPolicy policy : rule.allowed) {
    if (text == name(policy)) return policy;
  }
  return value->invalid("must be " + choices + " here, not " + quoted(text));
}

Result<void> refuseContainers(Object& spec, std::string_view key, const std::string& instead) {
  const auto value = spec.find(key);
  if (!value || (value->node().type == NodeType::List && value->node().items.empty())) return {};
  return value->invalid("is not supported here; " + instead);
}

Result<std::optional<std::int64_t>> readPodSecurity(Object& spec, std::vector<Warning>& warnings) {
  const auto value = spec.find("securityContext");
  if (!value) return std::optional<std::int64_t>();
  TRY(Object object, Object::of(*value, warnings));
  std::optional<std::int64_t> user;
  if (const auto id = object.find("runAsUser")) {
    TRY(user, id->integer(0, kMaxUserId));
  }
  object.noEffect({"appArmorProfile", "fsGroup", "fsGroupChangePolicy", "runAsGroup", "runAsNonRoot",
                   "seLinuxOptions", "seccompProfile", "supplementalGroups", "sysctls", "windowsOptions"});
  object.finish();
  return user;
}

Result<void> readNamespaces(Object& spec, Workload& workload) {
  TRY(workload.host_pid, spec.boolean("hostPID"));
  TRY(workload.host_ipc, spec.boolean("hostIPC"));
  TRY(workload.host_network, spec.boolean("hostNetwork"));
  TRY(workload.termination_grace_s, spec.integer("terminationGracePeriodSeconds", 30, 0));
  TRY(const std::int64_t deadline, spec.integer("activeDeadlineSeconds", 0, 1));
  if (deadline != 0) workload.active_deadline_s = deadline;
  return {};
}

Result<void> checkHostPorts(const Workload& workload, const Container& container, const Place& place) {
  for (const Container& other : workload.containers) {
    for (const Port& port : container.ports) {
      const auto same = [&](const Port& p) {
        return port.host_port != 0 && p.host_port == port.host_port && p.protocol == port.protocol;
      };
      if (std::ranges::any_of(other.ports, same)) {
        return invalid(place, "the host's port " + std::to_string(port.host_port) + " is taken twice");
      }
    }
  }
  return {};
}

Result<void> readContainers(Object& spec, const PodContext& pod, Workload& workload,
                            std::vector<Warning>& warnings) {
  TRY(const Value value, spec.require("containers"));
  TRY(const std::vector<Value> items, value.list());
  if (items.empty()) return value.invalid("must have at least one container");
  for (const Value& item : items) {
    TRY(Container container, readContainer(item, pod, warnings));
    if (std::ranges::find(workload.containers, container.name, &Container::name) !=
        workload.containers.end()) {
      return item.invalid("there are two containers of the name " + quoted(container.name));
    }
    TRY_VOID(checkHostPorts(workload, container, item.place()));
    workload.containers.push_back(std::move(container));
  }
  return {};
}

void ignorePodFields(Object& spec) {
  spec.noEffect({"affinity",
                 "automountServiceAccountToken",
                 "dnsConfig",
                 "dnsPolicy",
                 "enableServiceLinks",
                 "hostAliases",
                 "hostUsers",
                 "hostname",
                 "imagePullSecrets",
                 "nodeName",
                 "nodeSelector",
                 "os",
                 "overhead",
                 "preemptionPolicy",
                 "priority",
                 "priorityClassName",
                 "readinessGates",
                 "resourceClaims",
                 "resources",
                 "runtimeClassName",
                 "schedulerName",
                 "schedulingGates",
                 "serviceAccount",
                 "serviceAccountName",
                 "setHostnameAsFQDN",
                 "shareProcessNamespace",
                 "subdomain",
                 "tolerations",
                 "topologySpreadConstraints"});
}

}  // namespace

const std::string* findPair(const Pairs& pairs, std::string_view key) {
  const auto found = std::ranges::find(pairs, key, &Pairs::value_type::first);
  return found == pairs.end() ? nullptr : &found->second;
}

void setPair(Pairs& pairs, const std::string& key, const std::string& value) {
  const auto found = std::ranges::find(pairs, key, &Pairs::value_type::first);
  if (found == pairs.end()) {
    pairs.emplace_back(key, value);
  } else {
    found->second = value;
  }
}

Result<bool> wantsBestEffort(const Workload& workload) {
  const std::string* value = findPair(workload.annotations, kEnforcement);
  if (value == nullptr) value = findPair(workload.labels, kEnforcement);
  if (value == nullptr || *value == "strict") return false;
  if (*value == "best-effort") return true;
  return invalid(workload.place,
                 std::string(kEnforcement) + " must be best-effort or strict, not " + quoted(*value));
}

Result<void> readMetadata(const Value& value, Workload& workload, std::vector<Warning>& warnings) {
  TRY(Object object, Object::of(value, warnings));
  if (object.find("generateName") && !object.find("name")) {
    return value.invalid("generateName is not supported here; give it a name");
  }
  TRY(const Value name, object.require("name"));
  TRY(workload.name.value, name.text());
  if (!isDnsName(workload.name.value)) {
    return name.invalid(quoted(workload.name.value) + " is not a DNS name (a-z, 0-9, - and .)");
  }
  TRY(workload.name_space, object.text("namespace", "default"));
  if (!isDnsLabel(workload.name_space)) {
    return value.invalid("namespace: " + quoted(workload.name_space) + " is not a DNS label");
  }
  workload.original_name = workload.name.value;
  workload.place.path = value.place().path.substr(0, value.place().path.rfind("metadata"));
  if (workload.place.path.ends_with('.')) workload.place.path.pop_back();
  workload.place.line = name.place().line;
  workload.place.column = name.place().column;
  TRY_VOID(readLabels(object, workload.labels));
  TRY_VOID(readAnnotations(object, workload.annotations));
  ignoreServerFields(object);
  object.finish();
  return {};
}

Result<void> readTemplateMetadata(const Value& value, Workload& workload, std::vector<Warning>& warnings) {
  TRY(Object object, Object::of(value, warnings));
  TRY_VOID(readLabels(object, workload.labels));
  TRY_VOID(readAnnotations(object, workload.annotations));
  object.noEffect({"name", "generateName", "namespace"}, "of a pod template has no effect");
  ignoreServerFields(object);
  object.finish();
  return {};
}

Result<void> readPodSpec(const Value& value, const RestartRule& rule, Workload& workload,
                         std::vector<Warning>& warnings) {
  TRY(Object spec, Object::of(value, warnings));
  TRY(workload.restart, readRestartPolicy(spec, rule));
  TRY_VOID(refuseContainers(spec, "initContainers", "do their work in the container's own command"));
  TRY_VOID(refuseContainers(spec, "ephemeralContainers", "they are for a running pod"));
  TRY_VOID(readNamespaces(spec, workload));
  Volumes volumes;
  TRY(const std::vector<Value> listed, spec.list("volumes"));
  for (const Value& volume : listed) {
    TRY_VOID(readVolume(volume, volumes, warnings, Keys::Exact));
  }
  TRY(const auto user, readPodSecurity(spec, warnings));
  TRY(const bool best_effort, wantsBestEffort(workload));
  TRY_VOID(readContainers(spec, PodContext{workload, volumes, user, best_effort}, workload, warnings));
  ignorePodFields(spec);
  spec.finish();
  return {};
}

}  // namespace berth::manifest
