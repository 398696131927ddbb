#include "daemon/config.h"

#include <charconv>
#include <functional>
#include <map>
#include <utility>

#include <yaml-cpp/yaml.h>

#include "base/text.h"

namespace berth::daemon {
namespace {

constexpr std::int64_t kMaxSimulated = 8;
constexpr std::int64_t kMaxTokenMinutes = 24 * 60;

using Setter = std::function<Result<void>(Config&, const std::string&)>;

Result<void> setArbitration(Config& config, const std::string& text) {
  if (text == "appliance") {
    config.arbitration = arbiter::Arbitration::Appliance;
  } else if (text == "elastic") {
    config.arbitration = arbiter::Arbitration::Elastic;
  } else {
    return fail(ErrorCode::InvalidArgument, "\"" + text + "\" is neither appliance nor elastic");
  }
  return {};
}

Result<void> setEnforcement(Config& config, const std::string& text) {
  if (text == "stop") {
    config.enforcement = sharing::Enforcement::Stop;
  } else if (text == "report") {
    config.enforcement = sharing::Enforcement::Report;
  } else {
    return fail(ErrorCode::InvalidArgument, "\"" + text + "\" is neither stop nor report");
  }
  return {};
}

Result<void> setLogLevel(Config& config, const std::string& text) {
  const std::map<std::string, LogLevel> levels{{"error", LogLevel::Error},
                                               {"warning", LogLevel::Warning},
                                               {"info", LogLevel::Info},
                                               {"debug", LogLevel::Debug}};
  const auto found = levels.find(text);
  if (found == levels.end()) {
    return fail(ErrorCode::InvalidArgument, "\"" + text + "\" is none of error, warning, info, debug");
  }
  config.log_level = found->second;
  return {};
}

Result<std::uint16_t> parseHex(std::string_view text) {
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.size() != 4 || error != std::errc{} || end != text.data() + text.size()) {
    return fail(ErrorCode::InvalidArgument, "\"" + std::string(text) + "\" is not four hex digits");
  }
  return value;
}

Result<void> setAlsoGpus(Config& config, const std::string& text) {
  config.also_gpus.clear();
  for (const std::string& part : split(text, ',')) {
    const std::vector<std::string> halves = split(trim(part), ':');
    if (halves.size() != 2) {
      return fail(ErrorCode::InvalidArgument, "\"" + part + "\" is not a PCI id like 10de:1eb8");
    }
    gpu::PciId id;
    TRY(id.vendor, parseHex(halves[0]));
    TRY(id.device, parseHex(halves[1]));
    config.also_gpus.push_back(id);
  }
  return {};
}

Result<void> setListen(Config& config, const std::string& text) {
  config.listen.clear();
  for (const std::string& part : split(text, ',')) {
    TRY(http::TcpAddress address, http::parseTcpAddress(trim(part)));
    config.listen.push_back(std::move(address));
  }
  return {};
}

Result<void> setDeviceName(Config& config, const std::string& text) {
  if (!isDnsName(text)) {
    return fail(ErrorCode::InvalidArgument, "\"" + text + "\" is not a DNS name in lower case");
  }
  config.device_name = text;
  return {};
}

Result<void> setTokenLifetime(Config& config, const std::string& text) {
  const auto minutes = parseWholeNumber(text);
  if (!minutes || *minutes < 1 || *minutes > kMaxTokenMinutes) {
    return fail(ErrorCode::InvalidArgument,
                "\"" + text + "\" is not a number of minutes from 1 to " + std::to_string(kMaxTokenMinutes));
  }
  config.token_lifetime = std::chrono::minutes(*minutes);
  return {};
}

Result<void> setTenant(Config& config, const std::string& text) {
  if (!isDnsName(text)) return fail(ErrorCode::InvalidArgument, "\"" + text + "\" is not a UUID or name");
  config.tenant = text;
  return {};
}

Setter path(std::filesystem::path Config::* member) {
  return [member](Config& config, const std::string& text) -> Result<void> {
    config.*member = text;
    return {};
  };
}

Setter string(std::string Config::* member) {
  return [member](Config& config, const std::string& text) -> Result<void> {
    config.*member = text;
    return {};
  };
}

Result<void> setAccelerator(Config& config, const std::string& text) {
  if (text != "auto" && text != "kvm" && text != "tcg") {
    return fail(ErrorCode::InvalidArgument, "\"" + text + "\" is none of auto, kvm, tcg");
  }
  config.accelerator = text;
  return {};
}

/// A whole number from `least` to `most` for a field of the admission of VMs.
template <typename Assign>
Setter admission(std::int64_t least, std::int64_t most, Assign assign) {
  return [=](Config& config, const std::string& text) -> Result<void> {
    const auto number = parseWholeNumber(text);
    if (!number || *number < least || *number > most) {
      return fail(ErrorCode::InvalidArgument, "\"" + text + "\" is not a whole number from " +
                                                  std::to_string(least) + " to " + std::to_string(most));
    }
    assign(config.admission, *number);
    return {};
  };
}

constexpr std::int64_t kMostMiB = std::int64_t{1} << 26;
constexpr std::int64_t kMostCpus = 4096;
constexpr std::int64_t kMostPercent = 10'000;
constexpr std::int64_t kMostVms = 10'000;

const std::map<std::string, Setter>& setters() {
  static const std::map<std::string, Setter> kSetters{
      {"stateDir", path(&Config::state_dir)},
      {"runDir", path(&Config::run_dir)},
      {"socket", path(&Config::socket)},
      {"socketGroup", string(&Config::socket_group)},
      {"driverRoot", path(&Config::driver_root)},
      {"simulate",
       [](Config& config, const std::string& text) -> Result<void> {
         TRY_VOID(checkSimulate(text));
         config.simulate = text;
         return {};
       }},
      {"simRoot", path(&Config::sim_root)},
      {"engineSocket", string(&Config::engine_socket)},
      {"arbitration", setArbitration},
      {"alsoGpus", setAlsoGpus},
      {"guardLibrary", path(&Config::guard_library)},
      {"enforcement", setEnforcement},
      {"listen", setListen},
      {"deviceName", setDeviceName},
      {"tlsCertificate", path(&Config::tls_certificate)},
      {"tlsKey", path(&Config::tls_key)},
      {"tokenLifetimeMinutes", setTokenLifetime},
      {"tenant", setTenant},
      {"logLevel", setLogLevel},
      {"libvirtUri", string(&Config::libvirt_uri)},
      {"vmDir", path(&Config::vm_dir)},
      {"driversDir", path(&Config::drivers_dir)},
      {"sizesFile", path(&Config::sizes_file)},
      {"accelerator", setAccelerator},
      {"maxVms", admission(0, kMostVms, [](auto& a, std::int64_t n) { a.max_vms = static_cast<int>(n); })},
      {"vmMemoryOvercommitPercent",
       admission(1, kMostPercent,
                 [](auto& a, std::int64_t n) { a.memory_overcommit_percent = static_cast<int>(n); })},
      {"vmCpuOvercommitPercent",
       admission(1, kMostPercent,
                 [](auto& a, std::int64_t n) { a.cpu_overcommit_percent = static_cast<int>(n); })},
      {"hostMemoryMiB", admission(0, kMostMiB, [](auto& a, std::int64_t n) { a.host_memory = MiB{n}; })},
      {"hostCpus",
       admission(0, kMostCpus, [](auto& a, std::int64_t n) { a.host_cpus = static_cast<int>(n); })},
      {"kubernetesMemoryMiB",
       admission(0, kMostMiB, [](auto& a, std::int64_t n) { a.kubernetes_memory = MiB{n}; })},
      {"kubernetesCpus",
       admission(0, kMostCpus, [](auto& a, std::int64_t n) { a.kubernetes_cpus = static_cast<int>(n); })},
  };
  return kSetters;
}

std::string placeOf(const std::string& file, const YAML::Mark& mark) {
  return file + ":" + std::to_string(mark.line + 1);
}

Result<const Setter*> setterOf(const std::string& key) {
  const auto found = setters().find(key);
  if (found == setters().end()) {
    return fail(ErrorCode::InvalidArgument, "there is no setting \"" + key + "\"");
  }
  return &found->second;
}

Result<Config> readMap(const YAML::Node& root, const std::string& file, Config config) {
  for (const auto& entry : root) {
    const std::string where = placeOf(file, entry.first.Mark());
    const std::string key = entry.first.Scalar();
    TRY(const Setter* const setter, setterOf(key).during(where));
    if (!entry.second.IsScalar()) {
      return fail(ErrorCode::InvalidArgument, where + " " + key + ": a single value is expected");
    }
    TRY_VOID((*setter)(config, entry.second.Scalar()).during(where + " " + key));
  }
  return config;
}

}  // namespace

Result<Config> setOption(const std::string& key, const std::string& value, Config config) {
  TRY(const Setter* const setter, setterOf(key));
  TRY_VOID((*setter)(config, value).during(key));
  return config;
}

Result<void> checkConfig(const Config& config) {
  if (config.tls_certificate.empty() == config.tls_key.empty()) return {};
  return fail(ErrorCode::InvalidArgument, "tlsCertificate and tlsKey are given together or not at all");
}

Result<void> checkSimulate(const std::string& text) {
  const std::vector<std::string> halves = split(text, ':');
  const auto count = halves.size() == 2 ? parseWholeNumber(halves[1]) : std::nullopt;
  if (!count || *count < 1 || *count > kMaxSimulated || halves[0].empty()) {
    return fail(ErrorCode::InvalidArgument,
                "\"" + text + "\" is not a profile and a count of 1 to 8, like t4:2");
  }
  return {};
}

Result<Config> parseConfig(std::string_view text, const std::string& file, Config config) {
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    if (root.IsNull()) return config;
    if (!root.IsMap()) return fail(ErrorCode::InvalidArgument, file + ": settings are \"key: value\" lines");
    return readMap(root, file, std::move(config));
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::InvalidArgument, placeOf(file, error.mark) + ": " + error.msg);
  }
}

}  // namespace berth::daemon
