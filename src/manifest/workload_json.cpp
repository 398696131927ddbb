// A Workload as JSON for the ledger. One list of fields per type serves both ways, so that they cannot
// differ.
#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "manifest/workload.h"

namespace berth::manifest {
namespace {

namespace json = boost::json;

template <typename T, typename Wanted>
concept Is = std::same_as<std::remove_const_t<T>, Wanted>;

template <Is<Place> T>
void fields(T& place, auto&& field) {
  field("file", place.file);
  field("line", place.line);
  field("column", place.column);
  field("path", place.path);
}

template <Is<GpuRequest> T>
void fields(T& gpu, auto&& field) {
  field("whole", gpu.whole);
  field("visible", gpu.visible);
  field("threadPercentage", gpu.thread_percentage.value);
  field("compute", gpu.compute.value);
  field("memoryMiB", gpu.memory.value);
  field("bestEffort", gpu.best_effort);
  field("place", gpu.place);
}

template <Is<Mount> T>
void fields(T& mount, auto&& field) {
  field("source", mount.source);
  field("target", mount.target);
  field("readOnly", mount.read_only);
  field("volume", mount.volume);
  field("ephemeral", mount.ephemeral);
}

template <Is<Port> T>
void fields(T& port, auto&& field) {
  field("containerPort", port.container_port);
  field("hostPort", port.host_port);
  field("protocol", port.protocol);
}

template <Is<Container> T>
void fields(T& container, auto&& field) {
  field("name", container.name);
  field("image", container.image);
  field("command", container.command);
  field("args", container.args);
  field("env", container.env);
  field("workingDir", container.working_dir);
  field("mounts", container.mounts);
  field("ports", container.ports);
  field("memoryLimitBytes", container.memory_limit_bytes);
  field("cpuLimit", container.cpu_limit);
  field("privileged", container.privileged);
  field("runAsUser", container.run_as_user);
  field("tty", container.tty);
  field("gpu", container.gpu);
}

template <Is<Workload> T>
void fields(T& workload, auto&& field) {
  field("name", workload.name.value);
  field("kind", workload.kind);
  field("originalName", workload.original_name);
  field("namespace", workload.name_space);
  field("labels", workload.labels);
  field("annotations", workload.annotations);
  field("restart", workload.restart);
  field("replicas", workload.replicas);
  field("completions", workload.completions);
  field("parallelism", workload.parallelism);
  field("backoffLimit", workload.backoff_limit);
  field("activeDeadlineSeconds", workload.active_deadline_s);
  field("terminationGraceSeconds", workload.termination_grace_s);
  field("hostPid", workload.host_pid);
  field("hostIpc", workload.host_ipc);
  field("hostNetwork", workload.host_network);
  field("containers", workload.containers);
  field("place", workload.place);
}

json::value write(const std::string& text) { return json::string(text); }
json::value write(bool value) { return value; }
json::value write(int value) { return value; }
json::value write(std::int64_t value) { return value; }
json::value write(Kind kind) { return json::string(name(kind)); }
json::value write(RestartPolicy policy) { return json::string(name(policy)); }

// As text, since Boost.JSON 1.81 may read a double back a last bit off.
json::value write(double value) {
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return json::string(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
}

template <typename T>
json::value write(const std::optional<T>& value) {
  return value ? write(*value) : json::value();
}

template <typename T>
  requires std::is_class_v<T>
json::value write(const T& value);

json::value write(const std::pair<std::string, std::string>& pair) {
  return json::array{write(pair.first), write(pair.second)};
}

template <typename T>
json::value write(const std::vector<T>& values) {
  json::array list;
  for (const T& value : values) list.push_back(write(value));
  return list;
}

template <typename T>
  requires std::is_class_v<T>
json::value write(const T& value) {
  json::object object;
  fields(value,
         [&](std::string_view key, const auto& member) { object[json::string_view(key)] = write(member); });
  return object;
}

Error damaged(const std::string& path, std::string_view wanted) {
  return Error{ErrorCode::Corrupt, "stored workload: " + path + " must be " + std::string(wanted), {}, {}};
}

// Each read() says what it wanted, or nothing when it got it.
using Wanted = std::optional<Error>;

Wanted read(const json::value& value, const std::string& path, std::string& out) {
  if (!value.is_string()) return damaged(path, "a text");
  out.assign(value.get_string().data(), value.get_string().size());
  return {};
}

Wanted read(const json::value& value, const std::string& path, bool& out) {
  if (!value.is_bool()) return damaged(path, "true or false");
  out = value.get_bool();
  return {};
}

Wanted read(const json::value& value, const std::string& path, std::int64_t& out) {
  if (!value.is_int64()) return damaged(path, "a whole number");
  out = value.get_int64();
  return {};
}

Wanted read(const json::value& value, const std::string& path, int& out) {
  std::int64_t wide = 0;
  if (auto wrong = read(value, path, wide)) return wrong;
  if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max()) {
    return damaged(path, "a whole number of 32 bits");
  }
  out = static_cast<int>(wide);
  return {};
}

Wanted read(const json::value& value, const std::string& path, double& out) {
  std::string text;
  if (auto wrong = read(value, path, text)) return wrong;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || end != text.data() + text.size()) return damaged(path, "a number in a text");
  return {};
}

template <typename Enum, std::size_t N>
Wanted readEnum(const json::value& value, const std::string& path, const std::array<Enum, N>& all,
                Enum& out) {
  std::string text;
  if (auto wrong = read(value, path, text)) return wrong;
  for (const Enum one : all) {
    if (text != name(one)) continue;
    out = one;
    return {};
  }
  return damaged(path, "a known name");
}

Wanted read(const json::value& value, const std::string& path, Kind& out) {
  return readEnum(value, path, std::array{Kind::Pod, Kind::Job, Kind::Deployment, Kind::IotEdgeModule}, out);
}

Wanted read(const json::value& value, const std::string& path, RestartPolicy& out) {
  return readEnum(value, path,
                  std::array{RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never}, out);
}

Wanted read(const json::value& value, const std::string& path, std::pair<std::string, std::string>& out) {
  if (!value.is_array() || value.get_array().size() != 2) return damaged(path, "a list of two texts");
  if (auto wrong = read(value.get_array()[0], path, out.first)) return wrong;
  return read(value.get_array()[1], path, out.second);
}

template <typename T>
  requires std::is_class_v<T>
Wanted read(const json::value& value, const std::string& path, T& out);

template <typename T>
Wanted read(const json::value& value, const std::string& path, std::optional<T>& out) {
  if (value.is_null()) {
    out.reset();
    return {};
  }
  return read(value, path, out.emplace());
}

template <typename T>
Wanted read(const json::value& value, const std::string& path, std::vector<T>& out) {
  if (!value.is_array()) return damaged(path, "a list");
  out.clear();
  for (const json::value& item : value.get_array()) {
    const std::string place = path + "[" + std::to_string(out.size()) + "]";
    if (auto wrong = read(item, place, out.emplace_back())) return wrong;
  }
  return {};
}

template <typename T>
  requires std::is_class_v<T>
Wanted read(const json::value& value, const std::string& path, T& out) {
  if (!value.is_object()) return damaged(path, "an object");
  const json::object& object = value.get_object();
  Wanted wrong;
  fields(out, [&](std::string_view key, auto& member) {
    const json::value* found = object.if_contains(json::string_view(key));
    if (!wrong && found != nullptr) wrong = read(*found, path + "." + std::string(key), member);
  });
  return wrong;
}

}  // namespace

std::string toJson(const Workload& workload) { return json::serialize(write(workload)); }

Result<Workload> fromJson(std::string_view text) {
  json::error_code ec;
  const json::value value = json::parse(text, ec);
  if (ec) return fail(ErrorCode::Corrupt, "stored workload: not JSON: " + ec.message());
  Workload workload;
  if (auto wrong = read(value, "workload", workload)) return fail(*std::move(wrong));
  if (workload.name.value.empty()) return fail(damaged("workload.name", "there"));
  return workload;
}

}  // namespace berth::manifest
