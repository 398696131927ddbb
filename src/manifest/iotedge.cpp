#include "manifest/iotedge.h"

#include <array>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "manifest/create_options.h"
#include "manifest/environment.h"
#include "manifest/failure.h"
#include "manifest/json_text.h"
#include "manifest/names.h"
#include "manifest/pod_spec.h"

namespace berth::manifest {
namespace {

using Warnings = std::vector<Warning>;

constexpr std::string_view kNotRun = "is not run here";

struct PolicyRow {
  std::string_view text;
  RestartPolicy policy;
};
constexpr std::array<PolicyRow, 4> kPolicies = {{{"always", RestartPolicy::Always},
                                                 {"never", RestartPolicy::Never},
                                                 {"on-failure", RestartPolicy::OnFailure},
                                                 {"on-unhealthy", RestartPolicy::OnFailure}}};

Result<RestartPolicy> readRestartPolicy(Object& module) {
  const auto value = module.find("restartPolicy");
  if (!value) return RestartPolicy::Always;
  TRY(const std::string text, value->text());
  for (const PolicyRow& row : kPolicies) {
    if (toLower(text) != row.text) continue;
    if (row.text == "on-unhealthy")
      module.warn("restartPolicy", "health is not watched here; it means on-failure");
    return row.policy;
  }
  return value->invalid("must be always, never, on-failure or on-unhealthy, not " + quoted(text));
}

Result<int> readReplicas(Object& module) {
  const auto value = module.find("status");
  if (!value) return 1;
  TRY(const std::string text, value->text());
  if (toLower(text) == "running") return 1;
  if (toLower(text) == "stopped") return 0;
  return value->invalid("must be running or stopped, not " + quoted(text));
}

Result<void> readEnv(Object& module, Environment& environment, Warnings& warnings) {
  const auto value = module.find("env");
  if (!value) return {};
  TRY(const auto entries, value->entries());
  for (const auto& [name, holder] : entries) {
    if (!isEnvironmentName(name)) return holder.invalid(quoted(name) + " is not a variable's name");
    TRY(Object object, Object::of(holder, warnings));
    TRY(const Value inner, object.require("value"));
    object.finish();
    // The real runtime's JSON reader makes text of numbers and booleans as well.
    const bool scalar = inner.node().type == NodeType::Bool;
    TRY(std::string text, scalar ? Result<std::string>(inner.node().text) : inner.textOrNumber());
    environment.set(name, std::move(text), inner.place(), warnings);
  }
  return {};
}

// createOptions, then createOptions01, 02, ...: the real runtime cuts a long text into these.
Result<std::string> joinPieces(Object& settings, const Value& first) {
  constexpr int kMaxPieces = 99;
  TRY(std::string joined, first.text());
  bool ended = false;
  for (int i = 1; i <= kMaxPieces; ++i) {
    const std::string key = std::string("createOptions") + (i < 10 ? "0" : "") + std::to_string(i);
    const auto piece = settings.find(key);
    ended = ended || !piece;
    if (ended && piece) return piece->invalid("a piece of createOptions before this one is missing");
    if (!piece) continue;
    TRY(const std::string text, piece->text());
    joined += text;
  }
  return joined;
}

// The options as a map, from a string or as they are; `parsed` keeps what came from a string. Nothing for "".
Result<std::optional<Value>> createOptions(Object& settings, std::optional<Node>& parsed) {
  auto value = settings.find("createOptions");
  if (!value || value->node().type == NodeType::Map) return value;
  TRY(const std::string text, joinPieces(settings, *value));
  if (trim(text).empty()) return std::optional<Value>();
  const Place at{value->place().file, value->place().line, value->place().column, value->place().path};
  TRY(parsed, parseJson(text, at, JsonLines::Unknown));
  if (parsed->type == NodeType::Null) return std::optional<Value>();
  return std::optional<Value>(Value(*parsed, at));
}

Result<std::string> readImage(Object& settings) {
  TRY(const Value value, settings.require("image"));
  TRY(std::string image, value.text());
  if (image.empty() || trim(image) != image)
    return value.invalid("must name an image, without blanks around it");
  if (image.find("${") != std::string::npos) {
    return value.invalid(quoted(image) +
                         " is a template's placeholder; generate the deployment manifest first");
  }
  return image;
}

Result<void> readSettings(Object& module, Workload& workload, Container& container, Environment& environment,
                          Warnings& warnings) {
  TRY(const Value value, module.require("settings"));
  TRY(Object settings, Object::of(value, warnings));
  TRY(container.image, readImage(settings));
  std::optional<Node> parsed;
  TRY(const std::optional<Value> options, createOptions(settings, parsed));
  if (options) {
    TRY_VOID(readCreateOptions(*options, workload, container, environment, warnings));
  }
  settings.finish();
  return {};
}

Result<void> checkType(Object& module) {
  TRY(const Value value, module.require("type"));
  TRY(const std::string type, value.text());
  if (toLower(type) != "docker") return value.invalid("must be docker, not " + quoted(type));
  return {};
}

Result<Workload> readModule(const std::string& id, const Value& value, Warnings& warnings) {
  TRY(Object module, Object::of(value, warnings));
  const auto dns_name = moduleDnsName(id);
  if (!dns_name) {
    return value.invalid("the module id " + quoted(id) +
                         " gives no DNS name (a letter, then up to 62 of a-z, 0-9, -)");
  }
  Workload workload;
  workload.kind = Kind::IotEdgeModule;
  workload.name = WorkloadName(*dns_name);
  workload.original_name = id;
  workload.place = value.place();
  TRY_VOID(checkType(module));
  TRY(workload.restart, readRestartPolicy(module));
  TRY(workload.replicas, readReplicas(module));
  Container container;
  container.name = *dns_name;
  Environment environment;
  TRY_VOID(readEnv(module, environment, warnings));
  TRY_VOID(readSettings(module, workload, container, environment, warnings));
  TRY_VOID(applyEnvironment(environment, container, warnings));
  TRY(container.gpu.best_effort, wantsBestEffort(workload));
  workload.containers.push_back(std::move(container));
  module.accept({"version"});
  module.noEffect({"imagePullPolicy", "startupOrder"});
  module.finish();
  return workload;
}

Result<void> readModules(Object& desired, Manifest& manifest) {
  TRY(const Value value, desired.require("modules"));
  TRY(const auto modules, value.entries());
  std::map<std::string, const Value*> by_name;
  for (const auto& [id, module] : modules) {
    TRY(Workload workload, readModule(id, module, manifest.warnings));
    const auto [other, fresh] = by_name.emplace(workload.name.value, &module);
    if (!fresh) {
      return module.invalid("becomes the DNS name " + quoted(workload.name.value) + ", which is taken by " +
                            text(other->second->place()));
    }
    manifest.workloads.push_back(std::move(workload));
  }
  return {};
}

Result<void> checkSchema(Object& desired) {
  TRY(const Value value, desired.require("schemaVersion"));
  TRY(const std::string version, value.text());
  if (version != "1.0" && version != "1.1")
    return value.invalid("must be 1.0 or 1.1, not " + quoted(version));
  return {};
}

Result<void> readRuntime(Object& desired, Warnings& warnings) {
  const auto value = desired.find("runtime");
  if (!value) return {};
  TRY(Object runtime, Object::of(*value, warnings));
  TRY_VOID(checkType(runtime));
  if (const auto inner = runtime.find("settings")) {
    TRY(Object settings, Object::of(*inner, warnings));
    settings.accept({"minDockerVersion"});
    settings.noEffect({"loggingOptions", "registryCredentials"});
    settings.finish();
  }
  runtime.finish();
  return {};
}

Result<void> warnOfSystemModules(Object& desired, Warnings& warnings) {
  const auto value = desired.find("systemModules");
  if (!value) return {};
  TRY(const auto modules, value->entries());
  for (const auto& [id, module] : modules) warnings.push_back(Warning{module.place(), std::string(kNotRun)});
  return {};
}

Result<void> readAgent(const Value& value, Manifest& manifest) {
  TRY(Object agent, Object::of(value, manifest.warnings));
  TRY(const Value inner, agent.require("properties.desired"));
  TRY(Object desired, Object::of(inner, manifest.warnings));
  TRY_VOID(checkSchema(desired));
  TRY_VOID(readRuntime(desired, manifest.warnings));
  TRY_VOID(warnOfSystemModules(desired, manifest.warnings));
  TRY_VOID(readModules(desired, manifest));
  desired.finish();
  agent.finish();
  return {};
}

bool isEmptyDesired(const Value& value) {
  const Node& node = value.node();
  if (node.entries.empty()) return node.type == NodeType::Map || node.type == NodeType::Null;
  return node.entries.size() == 1 && node.entries[0].key == "properties.desired" &&
         node.entries[0].value.type == NodeType::Map && node.entries[0].value.entries.empty();
}

// $edgeAgent, and what belongs to the cloud's side: routes and the modules' own properties.
Result<void> readContent(const Value& value, Manifest& manifest) {
  TRY(const auto entries, value.entries());
  bool found = false;
  for (const auto& [key, content] : entries) {
    if (key == "$edgeAgent") {
      found = true;
      TRY_VOID(readAgent(content, manifest));
    } else if (!isEmptyDesired(content)) {
      manifest.warnings.push_back(
          Warning{content.place(), "is not used here; there is no hub that would hand it out"});
    }
  }
  if (!found) return value.invalid("$edgeAgent is required");
  return {};
}

}  // namespace

bool isIotEdge(const Node& root) {
  const Node* content = find(root, "content");
  return find(root, "modulesContent") != nullptr || find(root, "$edgeAgent") != nullptr ||
         (content != nullptr && find(*content, "modulesContent") != nullptr);
}

Result<void> readIotEdge(const Value& value, Manifest& manifest) {
  if (find(value.node(), "$edgeAgent") != nullptr) return readContent(value, manifest);
  TRY(Object object, Object::of(value, manifest.warnings));
  if (const auto outer = object.find("content")) {
    object.finish();
    return readIotEdge(*outer, manifest);
  }
  TRY(const Value content, object.require("modulesContent"));
  object.finish();
  return readContent(content, manifest);
}

}  // namespace berth::manifest
