#include "manifest/create_options.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "manifest/container_spec.h"
#include "manifest/failure.h"
#include "manifest/names.h"
#include "manifest/pod_spec.h"
#include "manifest/resources.h"
#include "manifest/volumes.h"

namespace berth::manifest {
namespace {

using Warnings = std::vector<Warning>;

Result<void> readEnv(Object& options, Environment& environment, Warnings& warnings) {
  TRY(const std::vector<Value> items, options.list("Env"));
  for (const Value& item : items) {
    TRY(const std::string text, item.text());
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      warnings.push_back(Warning{item.place(), quoted(text) + " sets nothing and has no effect"});
      continue;
    }
    const std::string variable = text.substr(0, equals);
    if (!isEnvironmentName(variable)) return item.invalid(quoted(variable) + " is not a variable's name");
    environment.set(variable, text.substr(equals + 1), item.place(), warnings);
  }
  return {};
}

// Docker takes a list or one word.
Result<std::vector<std::string>> readWords(Object& options, std::string_view key) {
  const auto value = options.find(key);
  if (!value) return std::vector<std::string>{};
  if (value->node().type == NodeType::Text) return std::vector<std::string>{value->node().text};
  return value->texts();
}

Result<Port> portOf(const Value& value, std::string_view key) {
  const std::vector<std::string> parts = split(key, '/');
  const std::string protocol = parts.size() > 1 ? parts[1] : "tcp";
  const auto number = parseWholeNumber(parts[0]);
  if (parts.size() > 2 || !number || *number < 1 || *number > kMaxPort ||
      (protocol != "tcp" && protocol != "udp" && protocol != "sctp")) {
    return value.invalid(quoted(key) + " is not a port like 80/tcp");
  }
  return Port{static_cast<int>(*number), 0, protocol};
}

Result<int> hostPortOf(const Value& value, Warnings& warnings) {
  TRY(Object binding, Object::of(value, warnings, Keys::AnyCase));
  binding.noEffect({"HostIp"});
  const auto port = binding.find("HostPort");
  binding.finish();
  if (!port) return value.invalid("HostPort is required");
  TRY(const std::string text, port->textOrNumber());
  const auto number = parseWholeNumber(text);
  if (!number || *number < 1 || *number > kMaxPort) return port->invalid(quoted(text) + " is not a port");
  return static_cast<int>(*number);
}

Result<void> readPortBindings(Object& host, Container& container, Warnings& warnings) {
  const auto value = host.find("PortBindings");
  if (!value) return {};
  TRY(const auto entries, value->entries());
  for (const auto& [key, bindings] : entries) {
    TRY(Port port, portOf(bindings, key));
    if (bindings.isNull()) continue;
    TRY(const std::vector<Value> items, bindings.list());
    for (const Value& item : items) {
      TRY(port.host_port, hostPortOf(item, warnings));
      container.ports.push_back(port);
    }
  }
  return {};
}

Result<void> readExposedPorts(Object& options, Container& container) {
  const auto value = options.find("ExposedPorts");
  if (!value) return {};
  TRY(const auto entries, value->entries());
  for (const auto& [key, nothing] : entries) {
    TRY(Port port, portOf(nothing, key));
    const auto same = [&](const Port& p) {
      return p.container_port == port.container_port && p.protocol == port.protocol;
    };
    if (std::ranges::none_of(container.ports, same)) container.ports.push_back(std::move(port));
  }
  return {};
}

// "host" in any case; other modes give a warning, since each container has namespaces of its own here.
Result<bool> isHostMode(Object& host, std::string_view key, std::initializer_list<std::string_view> silent) {
  TRY(const std::string mode, host.text(key));
  const std::string lower = toLower(mode);
  if (lower == "host") return true;
  if (std::ranges::find(silent, lower) == silent.end())
    host.warn(key, quoted(mode) + " has no effect; only host has");
  return false;
}

Result<void> readNamespaces(Object& host, Workload& module) {
  TRY(module.host_ipc, isHostMode(host, "IpcMode", {"", "private"}));
  TRY(module.host_pid, isHostMode(host, "PidMode", {""}));
  TRY(module.host_network, isHostMode(host, "NetworkMode", {"", "bridge", "default"}));
  return {};
}

Result<void> addMount(const Value& value, Mount mount, Container& container) {
  if (!mount.volume && !isHostPath(mount.source)) {
    return value.invalid("the source " + quoted(mount.source) + " must be an absolute path without \"..\"");
  }
  if (mount.volume && mount.source.empty()) return value.invalid("a volume needs a Source, its name");
  if (!mount.target.starts_with('/')) return value.invalid("the target must be an absolute path");
  if (std::ranges::find(container.mounts, mount.target, &Mount::target) != container.mounts.end()) {
    return value.invalid(quoted(mount.target) + " is mounted twice");
  }
  container.mounts.push_back(std::move(mount));
  return {};
}

Result<void> readMount(const Value& value, Container& container, Warnings& warnings) {
  TRY(Object object, Object::of(value, warnings, Keys::AnyCase));
  TRY(const std::string type, object.text("Type", "volume"));
  const std::string lower = toLower(type);
  if (lower != "volume" && lower != "bind") {
    return value.invalid("mounts of the type " + quoted(type) +
                         " are not supported here; volume and bind are");
  }
  Mount mount;
  mount.volume = lower == "volume";
  TRY(mount.source, object.text("Source"));
  TRY(mount.target, object.text("Target"));
  TRY(mount.read_only, object.boolean("ReadOnly"));
  object.noEffect({"BindOptions", "Consistency", "VolumeOptions"});
  object.finish();
  return addMount(value, std::move(mount), container);
}

Result<void> readBind(const Value& value, Container& container, Warnings& warnings) {
  TRY(const std::string text, value.text());
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() < 2 || parts.size() > 3)
    return value.invalid("must be source:target or source:target:options");
  Mount mount{parts[0], parts[1], false, !parts[0].starts_with('/'), false};
  for (const std::string& option : split(parts.size() == 3 ? parts[2] : "rw", ',')) {
    if (option == "ro") {
      mount.read_only = true;
    } else if (option != "rw") {
      warnings.push_back(Warning{value.place(), "the option " + quoted(option) + " has no effect here"});
    }
  }
  return addMount(value, std::move(mount), container);
}

Result<void> readMounts(Object& host, Container& container, Warnings& warnings) {
  TRY(const std::vector<Value> mounts, host.list("Mounts"));
  for (const Value& mount : mounts) {
    TRY_VOID(readMount(mount, container, warnings));
  }
  TRY(const std::vector<Value> binds, host.list("Binds"));
  for (const Value& bind : binds) {
    TRY_VOID(readBind(bind, container, warnings));
  }
  return {};
}

Result<void> refuseDeviceRequests(Object& host) {
  const auto value = host.find("DeviceRequests");
  if (!value || (value->node().type == NodeType::List && value->node().items.empty())) return {};
  return refused(value->place(), "DeviceRequestsNotSupported", "DeviceRequests are not read here",
                 "ask by NVIDIA_VISIBLE_DEVICES in env, or by k8s-experimental.resources.limits");
}

Result<void> readHostConfig(const Value& value, Workload& module, Container& container, Warnings& warnings) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  TRY(Object host, Object::of(value, warnings, Keys::AnyCase));
  TRY_VOID(readNamespaces(host, module));
  TRY(container.privileged, host.boolean("Privileged"));
  TRY_VOID(readPortBindings(host, container, warnings));
  TRY_VOID(readMounts(host, container, warnings));
  TRY(container.memory_limit_bytes, host.integer("Memory", 0, 0, kMax));
  TRY(const std::int64_t nano_cpus, host.integer("NanoCpus", 0, 0, kMax));
  container.cpu_limit = static_cast<double>(nano_cpus) / 1e9;
  TRY_VOID(refuseDeviceRequests(host));
  if (host.find("Runtime"))
    host.warn("Runtime", "has no effect here; a GPU is given by what the module asks for");
  if (host.find("RestartPolicy"))
    host.warn("RestartPolicy", "has no effect here; the module's restartPolicy has");
  host.finish();
  return {};
}

Result<void> readLabels(Object& options, Workload& module) {
  const auto value = options.find("Labels");
  if (!value) return {};
  TRY(const Pairs labels, value->pairs());
  for (const auto& [key, text] : labels) setPair(module.annotations, key, text);
  return {};
}

Result<void> readUser(Object& options, Container& container) {
  const auto value = options.find("User");
  if (!value) return {};
  TRY(const std::string user, value->text());
  const auto id = parseWholeNumber(user);
  if (id && *id <= kMaxUserId) {
    container.run_as_user = id;
  } else if (!user.empty()) {
    options.warn("User", quoted(user) + " has no effect; a number has");
  }
  return {};
}

// [{"volume": a Kubernetes volume, "volumeMounts": [...]}], as the preview's documentation has it.
Result<void> readExperimentalVolumes(Object& section, Container& container, Warnings& warnings) {
  TRY(const std::vector<Value> items, section.list("volumes"));
  for (const Value& item : items) {
    TRY(Object object, Object::of(item, warnings, Keys::AnyCase));
    Volumes volumes;
    TRY(const Value volume, object.require("volume"));
    TRY_VOID(readVolume(volume, volumes, warnings, Keys::AnyCase));
    TRY(const std::vector<Value> mounts, object.list("volumeMounts"));
    for (const Value& mount : mounts) {
      TRY_VOID(readVolumeMount(mount, volumes, container, warnings, Keys::AnyCase));
    }
    object.finish();
  }
  return {};
}

Result<void> readExperimentalSecurity(Object& section, Container& container, Warnings& warnings) {
  const auto value = section.find("securityContext");
  if (!value) return {};
  TRY(Object object, Object::of(*value, warnings, Keys::AnyCase));
  if (const auto user = object.find("runAsUser")) {
    TRY(container.run_as_user, user->integer(0, kMaxUserId));
  }
  object.finish();
  return {};
}

Result<void> readExperimental(const Value& value, Container& container, Warnings& warnings) {
  TRY(Object section, Object::of(value, warnings, Keys::AnyCase));
  if (const auto resources = section.find("resources")) {
    TRY_VOID(readResources(*resources, container, warnings));
  }
  TRY_VOID(readExperimentalVolumes(section, container, warnings));
  TRY_VOID(readExperimentalSecurity(section, container, warnings));
  section.noEffect({"nodeSelector", "serviceOptions"});
  section.noEffect({"strategy"}, "has no effect here; an update always stops the old container first");
  section.finish();
  return {};
}

}  // namespace

Result<void> readCreateOptions(const Value& value, Workload& module, Container& container,
                               Environment& environment, std::vector<Warning>& warnings) {
  TRY(Object options, Object::of(value, warnings, Keys::AnyCase));
  TRY_VOID(readEnv(options, environment, warnings));
  TRY(container.command, readWords(options, "Entrypoint"));
  TRY(container.args, readWords(options, "Cmd"));
  TRY(container.working_dir, options.text("WorkingDir"));
  TRY(container.tty, options.boolean("Tty"));
  TRY_VOID(readUser(options, container));
  TRY_VOID(readLabels(options, module));
  if (const auto host = options.find("HostConfig")) {
    TRY_VOID(readHostConfig(*host, module, container, warnings));
  }
  TRY_VOID(readExposedPorts(options, container));
  if (const auto section = options.find("k8s-experimental")) {
    TRY_VOID(readExperimental(*section, container, warnings));
  }
  options.noEffect({"AttachStderr", "AttachStdin", "AttachStdout", "Domainname", "Healthcheck", "Hostname",
                    "NetworkingConfig", "OpenStdin", "StdinOnce", "StopSignal", "StopTimeout", "Volumes"});
  options.finish();
  return {};
}

}  // namespace berth::manifest
