#include "tools/status_json.h"

#include <array>
#include <cstdio>

namespace berth::sim {
namespace {

std::string_view kindName(SlotKind kind) {
  switch (kind) {
    case SlotKind::Plain:
      return "plain";
    case SlotKind::MpsServer:
      return "mps-server";
    case SlotKind::MpsClient:
      return "mps-client";
    case SlotKind::Free:
      break;
  }
  return "free";
}

std::string_view modeName(std::uint32_t mode) {
  constexpr std::array<std::string_view, 4> kNames{"default", "exclusive-thread", "prohibited",
                                                   "exclusive-process"};
  return mode < kNames.size() ? kNames[mode] : "unknown";
}

std::string percent(double share) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", share * 100);
  return text.data();
}

std::string boolean(bool value) { return value ? "true" : "false"; }

std::string processJson(const ClientView& client) {
  return R"({"pid":)" + std::to_string(client.pid) + R"(,"kind":")" + std::string(kindName(client.kind)) +
         R"(","uid":)" + std::to_string(client.uid) + R"(,"memoryBytes":)" +
         std::to_string(client.memory_bytes) + R"(,"threadPercent":)" +
         std::to_string(client.thread_percent) + R"(,"utilisationPercent":)" + percent(client.utilisation) +
         R"(,"faulted":)" + boolean(client.fault != Status::Ok) + "}";
}

}  // namespace

std::string jsonString(std::string_view text) {
  std::string json = "\"";
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') json += '\\';
    if (code >= 0x20 && code < 0x7F) {
      json += letter;
    } else {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", code);
      json += escape.data();
    }
  }
  return json + "\"";
}

std::string statusJson(const StateFile& file, LockedGpu& gpu) {
  const Health health = gpu.state().health;
  const Telemetry telemetry = gpu.telemetry();
  std::string json = R"({"index":)" + std::to_string(file.index()) + R"(,"uuid":)" + jsonString(file.uuid());
  json += R"(,"pciBusId":)" + jsonString(file.pciBusId()) + R"(,"profile":)" + jsonString(file.profile().key);
  json += R"(,"name":)" + jsonString(file.profile().name);
  json += R"(,"binding":")" + std::string(gpu.bound() ? "vfio" : "nvidia") + '"';
  json += R"(,"lost":)" + boolean(gpu.lost()) + R"(,"hung":)" + boolean(health.hung != 0);
  json += R"(,"computeMode":")" + std::string(modeName(health.compute_mode)) + '"';
  json += R"(,"memoryTotalBytes":)" + std::to_string(file.profile().memory_bytes);
  json += R"(,"memoryUsedBytes":)" + std::to_string(gpu.usedBytes());
  json += R"(,"utilisationPercent":)" + percent(telemetry.utilisation);
  json += R"(,"powerMilliwatts":)" + std::to_string(telemetry.power_mw);
  json += R"(,"temperatureC":)" + std::to_string(telemetry.temperature_c);
  json += R"(,"eccUncorrected":)" + std::to_string(health.ecc_uncorrected);
  json += R"(,"events":)" + std::to_string(gpu.lastEvent()) + R"(,"processes":[)";
  std::string_view comma;
  for (const ClientView& client : gpu.clients()) {
    json += comma;
    json += processJson(client);
    comma = ",";
  }
  return json + "]}";
}

}  // namespace berth::sim
