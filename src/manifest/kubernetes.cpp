#include "manifest/kubernetes.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "manifest/failure.h"
#include "manifest/limits.h"
#include "manifest/pod_spec.h"

namespace berth::manifest {
namespace {

constexpr const char* kSupported =
    "Berth reads v1 Pod, v1 List, batch/v1 Job, apps/v1 Deployment and IoT Edge deployment manifests";

Result<void> readPod(Object& object, Workload& workload, std::vector<Warning>& warnings) {
  TRY(const Value spec, object.require("spec"));
  return readPodSpec(spec, {{RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never}},
                     workload, warnings);
}

// Metadata (which may be empty or missing) and spec of `template`.
Result<void> readTemplate(Object& spec, const RestartRule& rule, Workload& workload,
                          std::vector<Warning>& warnings) {
  TRY(const Value value, spec.require("template"));
  TRY(Object pod, Object::of(value, warnings));
  if (const auto metadata = pod.find("metadata")) {
    TRY_VOID(readTemplateMetadata(*metadata, workload, warnings));
  }
  TRY(const Value inner, pod.require("spec"));
  TRY_VOID(readPodSpec(inner, rule, workload, warnings));
  pod.finish();
  return {};
}

Result<void> refuseTrue(Object& spec, std::string_view key) {
  TRY(const bool value, spec.boolean(key));
  if (!value) return {};
  return spec.find(key)->invalid("is not supported here");
}

Result<void> readCompletionMode(Object& spec) {
  const auto value = spec.find("completionMode");
  if (!value) return {};
  TRY(const std::string mode, value->text());
  if (mode == "NonIndexed") return {};
  return value->invalid("must be NonIndexed, the only mode supported here, not " + quoted(mode));
}

Result<void> readJob(Object& object, Workload& workload, std::vector<Warning>& warnings) {
  TRY(const Value value, object.require("spec"));
  TRY(Object spec, Object::of(value, warnings));
  TRY(const std::int64_t parallelism, spec.integer("parallelism", 1, 0, kMaxPods));
  const bool work_queue = spec.find("parallelism") && !spec.find("completions");
  TRY(const std::int64_t completions, spec.integer("completions", work_queue ? parallelism : 1, 0));
  if (work_queue && parallelism > 1) {
    spec.warn("parallelism",
              "without completions Berth waits for as many pods as run in parallel to succeed");
  }
  TRY(const std::int64_t backoff, spec.integer("backoffLimit", 6, 0));
  workload.parallelism = static_cast<int>(parallelism);
  workload.completions = static_cast<int>(completions);
  workload.backoff_limit = static_cast<int>(backoff);
  TRY_VOID(readCompletionMode(spec));
  TRY_VOID(refuseTrue(spec, "suspend"));
  TRY_VOID(readTemplate(spec, {{RestartPolicy::OnFailure, RestartPolicy::Never}, true}, workload, warnings));
  TRY(const std::int64_t deadline, spec.integer("activeDeadlineSeconds", 0, 1));
  if (deadline != 0) workload.active_deadline_s = deadline;
  spec.noEffect({"backoffLimitPerIndex", "managedBy", "manualSelector", "maxFailedIndexes",
                 "podFailurePolicy", "podReplacementPolicy", "selector", "successPolicy",
                 "ttlSecondsAfterFinished"});
  spec.finish();
  return {};
}

// Kubernetes' rule: a Deployment must select the pods that it makes.
Result<void> checkSelector(Object& spec, const Workload& workload, std::vector<Warning>& warnings) {
  TRY(const Value value, spec.require("selector"));
  TRY(Object selector, Object::of(value, warnings));
  selector.noEffect({"matchExpressions"});
  const auto match = selector.find("matchLabels");
  selector.finish();
  if (!match) return {};
  TRY(const Pairs wanted, match->pairs());
  for (const auto& [key, text] : wanted) {
    const std::string* label = findPair(workload.labels, key);
    if (label == nullptr || *label != text) {
      return match->invalid(quoted(key) + " does not match the labels of the pod template");
    }
  }
  return {};
}

Result<void> checkStrategy(Object& spec, std::vector<Warning>& warnings) {
  const auto value = spec.find("strategy");
  if (!value) return {};
  TRY(Object strategy, Object::of(*value, warnings));
  TRY(const std::string type, strategy.text("type", "RollingUpdate"));
  if (type != "Recreate" && type != "RollingUpdate") {
    return value->invalid("type must be Recreate or RollingUpdate, not " + quoted(type));
  }
  if (type == "RollingUpdate")
    spec.warn("strategy", "has no effect here; an update always stops the old pods first");
  strategy.accept({"rollingUpdate"});
  strategy.finish();
  return {};
}

Result<void> readDeployment(Object& object, Workload& workload, std::vector<Warning>& warnings) {
  TRY(const Value value, object.require("spec"));
  TRY(Object spec, Object::of(value, warnings));
  TRY(const std::int64_t replicas, spec.integer("replicas", 1, 0, kMaxPods));
  workload.replicas = static_cast<int>(replicas);
  const Pairs own = std::exchange(workload.labels, {});
  TRY_VOID(readTemplate(spec, {{RestartPolicy::Always}}, workload, warnings));
  TRY_VOID(checkSelector(spec, workload, warnings));
  for (const auto& [key, text] : own) {
    if (findPair(workload.labels, key) == nullptr) workload.labels.emplace_back(key, text);
  }
  TRY_VOID(checkStrategy(spec, warnings));
  TRY_VOID(refuseTrue(spec, "paused"));
  spec.noEffect({"minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit"});
  spec.finish();
  return {};
}

struct KindRow {
  std::string_view api_version;
  std::string_view kind;
  Kind is;
  Result<void> (*read)(Object&, Workload&, std::vector<Warning>&);
};
constexpr KindRow kKinds[] = {
    {"v1", "Pod", Kind::Pod, readPod},
    {"batch/v1", "Job", Kind::Job, readJob},
    {"apps/v1", "Deployment", Kind::Deployment, readDeployment},
};

Result<void> readWorkload(Object& object, const KindRow& row, Manifest& manifest) {
  Workload workload;
  workload.kind = row.is;
  workload.place.file = object.place().file;
  TRY(const Value metadata, object.require("metadata"));
  TRY_VOID(readMetadata(metadata, workload, manifest.warnings));
  TRY_VOID(row.read(object, workload, manifest.warnings));
  object.accept({"status"});
  object.finish();
  manifest.workloads.push_back(std::move(workload));
  return {};
}

Result<void> readObject(const Value& value, bool in_list, Manifest& manifest);

Result<void> readList(Object& object, Manifest& manifest) {
  TRY(const Value items, object.require("items"));
  TRY(const std::vector<Value> values, items.list());
  for (const Value& value : values) {
    TRY_VOID(readObject(value, true, manifest));
  }
  object.accept({"metadata"});
  object.finish();
  return {};
}

Result<void> readObject(const Value& value, bool in_list, Manifest& manifest) {
  TRY(Object object, Object::of(value, manifest.warnings));
  if (!object.find("apiVersion") || !object.find("kind")) {
    return value.invalid(std::string("apiVersion and kind are required; ") + kSupported);
  }
  TRY(const Value api_version, object.require("apiVersion"));
  TRY(const std::string version, api_version.text());
  TRY(const Value kind, object.require("kind"));
  TRY(const std::string name, kind.text());
  for (const KindRow& row : kKinds) {
    if (version == row.api_version && name == row.kind) return readWorkload(object, row, manifest);
  }
  if (version == "v1" && name == "List") {
    if (in_list) return kind.invalid("a List inside a List is not supported here");
    return readList(object, manifest);
  }
  return kind.invalid("apiVersion " + quoted(version) + ", kind " + quoted(name) + " is not supported; " +
                      kSupported);
}

}  // namespace

Result<void> readKubernetes(const Value& value, Manifest& manifest) {
  return readObject(value, false, manifest);
}

}  // namespace berth::manifest
