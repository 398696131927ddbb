#include "container/engine_json.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <boost/json.hpp>

#include "base/text.h"

namespace berth::container {

namespace {

namespace json = boost::json;

constexpr std::int64_t kNofileSoft = 1024;
constexpr std::int64_t kNofileHard = 65536;
constexpr std::int64_t kNprocSoft = 4096;
constexpr std::int64_t kNprocHard = 32768;
constexpr std::size_t kMaxErrorText = 2000;
constexpr std::int64_t kMinMemoryBytes = std::int64_t{6} << 20;  // Both engines refuse less.
constexpr double kNanoCpusPerCore = 1e9;
constexpr double kMaxCores = 4096;

json::array strings(const std::vector<std::string>& values) {
  json::array array;
  for (const std::string& value : values) array.push_back(json::string(value));
  return array;
}

Ulimit limited(std::string name, std::int64_t soft, std::int64_t wanted_hard, std::int64_t most) {
  const std::int64_t hard = std::min(wanted_hard, most);
  return {std::move(name), std::min(soft, hard), hard};
}

// Podman reads a mount as a comma-separated text.
Result<void> checkBindPath(std::string_view path) {
  if (path.empty() || path.find_first_of(std::string_view(",\n\0", 3)) != std::string_view::npos) {
    return fail(
        ErrorCode::InvalidArgument,
        "'" + std::string(path) + "' cannot be mounted: empty, or with a comma or a line break in it");
  }
  return {};
}

Result<json::array> mounts(const std::vector<Bind>& binds) {
  json::array array;
  for (const Bind& bind : binds) {
    TRY_VOID(checkBindPath(bind.source));
    TRY_VOID(checkBindPath(bind.target));
    if (bind.target.front() != '/' || (!bind.volume && bind.source.front() != '/')) {
      return fail(ErrorCode::InvalidArgument,
                  "mount of '" + bind.source + "' at '" + bind.target + "': the paths must be absolute");
    }
    array.push_back(json::object{{"Type", bind.volume ? "volume" : "bind"},
                                 {"Source", bind.source},
                                 {"Target", bind.target},
                                 {"ReadOnly", bind.read_only}});
  }
  return array;
}

json::array devices(const std::vector<std::string>& paths) {
  json::array array;
  for (const std::string& path : paths) {
    array.push_back(
        json::object{{"PathOnHost", path}, {"PathInContainer", path}, {"CgroupPermissions", "rwm"}});
  }
  return array;
}

bool isPort(int port) { return port >= 1 && port <= 65535; }

Result<void> addPorts(const std::vector<PublishedPort>& ports, json::object& body, json::object& host) {
  json::object exposed;
  json::object bindings;
  for (const PublishedPort& port : ports) {
    const bool known = port.protocol == "tcp" || port.protocol == "udp" || port.protocol == "sctp";
    if (!isPort(port.container_port) || !isPort(port.host_port) || !known) {
      return fail(ErrorCode::InvalidArgument, "port " + std::to_string(port.host_port) + ":" +
                                                  std::to_string(port.container_port) + "/" + port.protocol +
                                                  " cannot be published");
    }
    const std::string key = std::to_string(port.container_port) + "/" + port.protocol;
    exposed[key] = json::object{};
    json::value& list = bindings[key];
    if (!list.is_array()) list = json::array{};
    list.get_array().push_back(json::object{{"HostPort", std::to_string(port.host_port)}});
  }
  if (ports.empty()) return {};
  body["ExposedPorts"] = std::move(exposed);
  host["PortBindings"] = std::move(bindings);
  return {};
}

Result<void> addLimits(const ContainerConfig& config, json::object& host) {
  if (config.memory_limit_bytes != 0) {
    if (config.memory_limit_bytes < kMinMemoryBytes) {
      return fail(ErrorCode::InvalidArgument, "a memory limit of " +
                                                  std::to_string(config.memory_limit_bytes) +
                                                  " bytes is below the engine's minimum of 6 MiB");
    }
    host["Memory"] = config.memory_limit_bytes;
  }
  if (config.cpu_limit != 0) {
    if (!(config.cpu_limit > 0 && config.cpu_limit <= kMaxCores)) {
      return fail(ErrorCode::InvalidArgument,
                  "a CPU limit of " + std::to_string(config.cpu_limit) + " cores");
    }
    host["NanoCpus"] = std::llround(config.cpu_limit * kNanoCpusPerCore);
  }
  return {};
}

Result<json::object> hostConfig(const ContainerConfig& config, const std::vector<Ulimit>& ulimits) {
  json::object host;
  TRY(host["Mounts"], mounts(config.binds));
  host["Devices"] = devices(config.devices);
  json::array limits;
  for (const Ulimit& limit : ulimits) {
    limits.push_back(json::object{{"Name", limit.name}, {"Soft", limit.soft}, {"Hard", limit.hard}});
  }
  host["Ulimits"] = std::move(limits);
  if (config.host_pid) host["PidMode"] = "host";
  if (config.host_ipc) host["IpcMode"] = "host";
  if (config.host_network) host["NetworkMode"] = "host";
  host["Privileged"] = config.privileged;
  TRY_VOID(addLimits(config, host));
  return host;
}

Result<json::value> parse(std::string_view body) {
  json::error_code ec;
  json::value value = json::parse(body, ec);
  if (ec) return fail(ErrorCode::Corrupt, "the engine's answer is not JSON: " + ec.message());
  return value;
}

Result<json::object> parseObject(std::string_view body) {
  TRY(json::value value, parse(body));
  if (!value.is_object()) return fail(ErrorCode::Corrupt, "the engine's answer is not a JSON object");
  return std::move(value.get_object());
}

const json::object* objectAt(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

std::string stringAt(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(*text);
}

std::int64_t intAt(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  const std::int64_t* number = value == nullptr ? nullptr : value->if_int64();
  return number == nullptr ? 0 : *number;
}

bool boolAt(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  const bool* truth = value == nullptr ? nullptr : value->if_bool();
  return truth != nullptr && *truth;
}

using Labels = std::vector<std::pair<std::string, std::string>>;

json::object labelsBody(const Labels& labels) {
  json::object body;
  for (const auto& [key, value] : labels) body[key] = value;
  return body;
}

/// The object `Labels` of `object`; none where it is null or missing.
Labels labelsAt(const json::object& object) {
  Labels labels;
  const json::object* body = objectAt(object, "Labels");
  if (body == nullptr) return labels;
  for (const auto& [key, value] : *body) {
    if (const json::string* text = value.if_string())
      labels.emplace_back(std::string(key), std::string(*text));
  }
  return labels;
}

Result<std::string> requiredString(const json::object& object, std::string_view key) {
  std::string value = stringAt(object, key);
  if (value.empty()) return fail(ErrorCode::Corrupt, "the engine's answer lacks " + std::string(key));
  return value;
}

ContainerState stateFromName(std::string_view name) {
  if (name == "created" || name == "configured" || name == "initialized") return ContainerState::Created;
  // Podman says "stopping" while it waits for the end, which has no exit code before it has come.
  if (name == "running" || name == "stopping") return ContainerState::Running;
  if (name == "exited" || name == "stopped" || name == "dead") return ContainerState::Exited;
  return ContainerState::Other;
}

void readState(const json::object& state, ContainerStatus& status) {
  status.state = stateFromName(stringAt(state, "Status"));
  if (status.state == ContainerState::Running) status.pid = std::max<std::int64_t>(intAt(state, "Pid"), 0);
  const std::int64_t exit_code = intAt(state, "ExitCode");
  status.exit_code = static_cast<int>(
      std::clamp<std::int64_t>(exit_code, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()));
  status.oom_killed = boolAt(state, "OOMKilled");
  status.error = stringAt(state, "Error");
  status.started = parseTime(stringAt(state, "StartedAt")).value_or(std::chrono::system_clock::time_point{});
  status.finished =
      parseTime(stringAt(state, "FinishedAt")).value_or(std::chrono::system_clock::time_point{});
}

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  const auto number = parseWholeNumber(text.substr(at, count));
  if (!number) return std::nullopt;
  return static_cast<int>(*number);
}

// What follows the seconds: decimals, then Z or an offset. Gives the nanoseconds to add.
std::optional<std::chrono::nanoseconds> parseTimeTail(std::string_view tail) {
  std::chrono::nanoseconds sum{0};
  if (!tail.empty() && tail.front() == '.') {
    tail.remove_prefix(1);
    const std::size_t length = std::min(tail.find_first_not_of("0123456789"), tail.size());
    if (length == 0 || length > 9) return std::nullopt;
    std::string nanoseconds(tail.substr(0, length));
    nanoseconds.resize(9, '0');
    sum += std::chrono::nanoseconds(parseWholeNumber(nanoseconds).value_or(0));
    tail.remove_prefix(length);
  }
  if (tail == "Z") return sum;
  if (tail.size() != 6 || (tail[0] != '+' && tail[0] != '-') || tail[3] != ':') return std::nullopt;
  const auto hours = digits(tail, 1, 2);
  const auto minutes = digits(tail, 4, 2);
  if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  const auto offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
  return tail[0] == '+' ? sum - offset : sum + offset;
}

// Years that fit a time_point in nanoseconds.
constexpr int kFirstYear = 1970;
constexpr int kLastYear = 2261;

}  // namespace

std::vector<Ulimit> containerUlimits(std::int64_t nofile_hard, std::int64_t nproc_hard) {
  return {limited("nofile", kNofileSoft, kNofileHard, nofile_hard),
          limited("nproc", kNprocSoft, kNprocHard, nproc_hard)};
}

Result<std::string> createBody(const ContainerConfig& config, const std::vector<Ulimit>& ulimits) {
  json::object body{{"Image", config.image}, {"Tty", config.tty}};
  if (!config.entrypoint.empty()) body["Entrypoint"] = strings(config.entrypoint);
  if (!config.command.empty()) body["Cmd"] = strings(config.command);
  if (!config.working_dir.empty()) body["WorkingDir"] = config.working_dir;
  if (!config.user.empty()) body["User"] = config.user;
  json::array env;
  for (const auto& [name, value] : config.env) {
    if (name.empty() || name.find('=') != std::string::npos) {
      return fail(ErrorCode::InvalidArgument, "'" + name + "' is not a name of an environment variable");
    }
    env.emplace_back(json::string(name)).get_string().append("=").append(value);
  }
  body["Env"] = std::move(env);
  body["Labels"] = labelsBody(config.labels);
  TRY(json::object host, hostConfig(config, ulimits));
  TRY_VOID(addPorts(config.ports, body, host));
  body["HostConfig"] = std::move(host);
  return json::serialize(body);
}

std::string volumeBody(const Volume& volume) {
  return json::serialize(json::object{{"Name", volume.name}, {"Labels", labelsBody(volume.labels)}});
}

std::string labelFilter(std::string_view key, std::string_view value) {
  const std::string label = std::string(key) + "=" + std::string(value);
  return json::serialize(json::object{{"label", json::array{json::string(label)}}});
}

Result<Inspected> parseInspect(std::string_view body) {
  TRY(const json::object object, parseObject(body));
  Inspected inspected;
  TRY(std::string id, requiredString(object, "Id"));
  inspected.status.id = ContainerId(std::move(id));
  std::string name = stringAt(object, "Name");
  if (!name.empty() && name.front() == '/') name.erase(0, 1);
  inspected.status.name = std::move(name);
  const json::object* state = objectAt(object, "State");
  if (state == nullptr) return fail(ErrorCode::Corrupt, "the engine's answer lacks State");
  readState(*state, inspected.status);
  const json::object* config = objectAt(object, "Config");
  if (config == nullptr) return inspected;
  inspected.tty = boolAt(*config, "Tty");
  inspected.status.labels = labelsAt(*config);
  return inspected;
}

Result<std::vector<ContainerId>> parseList(std::string_view body) {
  TRY(const json::value value, parse(body));
  if (!value.is_array()) return fail(ErrorCode::Corrupt, "the engine's list is not a JSON array");
  std::vector<ContainerId> ids;
  for (const json::value& entry : value.get_array()) {
    if (!entry.is_object()) return fail(ErrorCode::Corrupt, "an entry of the engine's list is not an object");
    TRY(std::string id, requiredString(entry.get_object(), "Id"));
    ids.emplace_back(std::move(id));
  }
  return ids;
}

Result<std::vector<Volume>> parseVolumes(std::string_view body) {
  TRY(const json::object object, parseObject(body));
  const json::value* list = object.if_contains("Volumes");
  std::vector<Volume> volumes;
  if (list != nullptr && list->is_null()) return volumes;
  if (list == nullptr || !list->is_array()) {
    return fail(ErrorCode::Corrupt, "the engine's answer lacks Volumes");
  }
  for (const json::value& entry : list->get_array()) {
    if (!entry.is_object()) return fail(ErrorCode::Corrupt, "an entry of the engine's list is not an object");
    TRY(std::string name, requiredString(entry.get_object(), "Name"));
    volumes.push_back({std::move(name), labelsAt(entry.get_object())});
  }
  return volumes;
}

Result<ContainerId> parseCreated(std::string_view body) {
  TRY(const json::object object, parseObject(body));
  TRY(std::string id, requiredString(object, "Id"));
  return ContainerId(std::move(id));
}

Result<std::string> parseImageId(std::string_view body) {
  TRY(const json::object object, parseObject(body));
  return requiredString(object, "Id");
}

Result<std::string> parseVersion(std::string_view body) {
  TRY(const json::object object, parseObject(body));
  TRY(const std::string version, requiredString(object, "Version"));
  bool podman = false;
  const json::value* components = object.if_contains("Components");
  if (components != nullptr && components->is_array()) {
    for (const json::value& component : components->get_array()) {
      podman =
          podman || (component.is_object() && stringAt(component.get_object(), "Name") == "Podman Engine");
    }
  }
  return (podman ? "podman " : "docker ") + version;
}

std::string errorText(std::string_view body) {
  json::error_code ec;
  const json::value value = json::parse(body, ec);
  if (!ec && value.is_object()) {
    std::string message = stringAt(value.get_object(), "message");
    if (!message.empty()) return message;
  }
  return std::string(trim(body.substr(0, kMaxErrorText)));
}

Error errorFromAnswer(int status, std::string_view body) {
  std::string message = errorText(body);
  if (message.empty()) message = "the engine answered with status " + std::to_string(status);
  const bool name_taken = message.find("name is already in use") != std::string::npos;
  if (status == 400) return {ErrorCode::InvalidArgument, std::move(message)};
  if (status == 404) return {ErrorCode::NotFound, std::move(message)};
  if (status == 409 || name_taken) return {ErrorCode::Conflict, std::move(message)};
  return {ErrorCode::Io, std::move(message), "EngineError"};
}

std::optional<std::chrono::system_clock::time_point> parseTime(std::string_view text) {
  using namespace std::chrono;
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
      text[16] != ':') {
    return std::nullopt;
  }
  const auto y = digits(text, 0, 4);
  const auto mo = digits(text, 5, 2);
  const auto d = digits(text, 8, 2);
  const auto h = digits(text, 11, 2);
  const auto mi = digits(text, 14, 2);
  const auto s = digits(text, 17, 2);
  if (!y || !mo || !d || !h || !mi || !s) return std::nullopt;
  const year_month_day date{year{*y}, month{static_cast<unsigned>(*mo)}, day{static_cast<unsigned>(*d)}};
  if (!date.ok() || *y < kFirstYear || *y > kLastYear || *h > 23 || *mi > 59 || *s > 60) return std::nullopt;
  const auto tail = parseTimeTail(text.substr(19));
  if (!tail) return std::nullopt;
  return sys_days{date} + hours(*h) + minutes(*mi) + seconds(*s) +
         duration_cast<system_clock::duration>(*tail);
}

}  // namespace berth::container
