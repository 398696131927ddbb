#include "api/views.h"

#include <algorithm>
#include <array>
#include <ctime>

#include <boost/json.hpp>

#include "http/error_mapping.h"

namespace berth::api {
namespace {

namespace json = boost::json;

constexpr std::int64_t kBytesPerMiB = std::int64_t{1} << 20;

std::string_view phaseName(const service::ContainerRecord& c) {
  switch (c.phase) {
    case service::Phase::Waiting:
      return c.attempt > 0 && c.not_before > service::WallTime{} ? "backoff" : "waiting";
    case service::Phase::Starting:
      return "starting";
    case service::Phase::Running:
      return "running";
    case service::Phase::Exited:
    case service::Phase::Done:
      break;
  }
  return "exited";
}

std::string_view computeModeName(gpu::ComputeMode mode) {
  switch (mode) {
    case gpu::ComputeMode::ExclusiveProcess:
      return "exclusiveProcess";
    case gpu::ComputeMode::Prohibited:
      return "prohibited";
    case gpu::ComputeMode::Default:
      break;
  }
  return "default";
}

template <typename T>
json::value orNull(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

json::object sampleJson(const gpu::GpuSample& sample) {
  return {{"utilizationPercent", orNull(sample.utilization_percent)},
          {"memoryUsedMiB", sample.memory_used_bytes / kBytesPerMiB},
          {"memoryTotalMiB", sample.memory_total_bytes / kBytesPerMiB},
          {"temperatureC", orNull(sample.temperature_c)},
          {"powerMilliwatts", orNull(sample.power_mw)},
          {"powerLimitMilliwatts", orNull(sample.power_limit_mw)},
          {"smClockMHz", orNull(sample.sm_clock_mhz)},
          {"memoryClockMHz", orNull(sample.memory_clock_mhz)},
          {"computeMode", computeModeName(sample.compute_mode)}};
}

json::object processJson(const ProcessView& view) {
  return {{"pid", view.process.pid},
          {"name", view.name},
          {"memoryMiB", view.process.memory_bytes / kBytesPerMiB},
          {"type", view.process.mps_client ? "M+C" : "C"},
          {"smPercent", orNull(view.process.sm_percent)},
          {"container", view.container}};
}

const ledger::Berth* firstBerth(const ledger::State& state, const std::string& container) {
  const auto it = std::ranges::find_if(state.berths, [&](const ledger::Berth& berth) {
    return berth.holder.kind == ledger::HolderKind::Container && berth.holder.name == container;
  });
  return it == state.berths.end() ? nullptr : &*it;
}

json::object containerJson(const ledger::State& state, const service::ContainerRecord& c) {
  json::object object{{"name", c.name},
                      {"state", phaseName(c)},
                      {"exitCode", orNull(c.exit_code)},
                      {"restarts", c.restarts},
                      {"gpu", nullptr},
                      {"mode", nullptr},
                      {"engineId", c.engine_id.value},
                      {"message", c.message},
                      {"started", timestamp(c.started)},
                      {"finished", timestamp(c.finished)}};
  const ledger::Berth* berth = firstBerth(state, c.name);
  if (berth == nullptr) return object;
  const ledger::Gpu* gpu = ledger::findGpu(state, berth->gpu);
  object["gpu"] = gpu->index;
  object["mode"] = ledger::name(gpu->mode);
  object["berth"] = berthJson(*berth);
  return object;
}

template <typename Range>
json::array strings(const Range& range) {
  json::array array;
  for (const auto& text : range) array.emplace_back(text);
  return array;
}

}  // namespace

json::value timestamp(service::WallTime time) {
  if (time <= service::WallTime{}) return nullptr;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  const std::string fraction = std::to_string(1000 + ms % 1000);
  return json::value(std::string(text.data(), length) + "." + fraction.substr(1) + "Z");
}

json::object berthJson(const ledger::Berth& berth) {
  return {{"id", berth.id},
          {"gpuUuid", berth.gpu.value},
          {"holder", {{"kind", ledger::name(berth.holder.kind)}, {"name", berth.holder.name}}},
          {"whole", berth.whole},
          {"computePercent", berth.compute.value},
          {"threadPercentage", berth.thread_percentage.value},
          {"memoryMiB", berth.memory.value},
          {"computeRung", ledger::name(berth.compute_rung)},
          {"memoryRung", ledger::name(berth.memory_rung)},
          {"bestEffort", berth.best_effort}};
}

json::object gpuJson(const ledger::State& state, const ledger::Gpu& gpu, const MpsView& mps,
                     const GpuNow* now) {
  json::array berths;
  for (const ledger::Berth* berth : ledger::berthsOn(state, gpu.uuid)) berths.push_back(berthJson(*berth));
  json::object object{
      {"index", gpu.index},
      {"uuid", gpu.uuid.value},
      {"pciAddress", gpu.pci.value},
      {"name", gpu.name},
      {"memoryMiB", gpu.memory.value},
      {"owner", {{"kind", ledger::name(gpu.owner.kind)}, {"name", gpu.owner.name}}},
      {"mode", ledger::name(gpu.mode)},
      {"health", ledger::name(gpu.health)},
      {"healthReason", gpu.health_reason},
      {"simulated", gpu.simulated},
      {"present", gpu.health != ledger::Health::Lost},
      {"mps", {{"state", mps.state}, {"generation", mps.generation}, {"message", mps.message}}},
      {"berths", std::move(berths)}};
  if (now == nullptr) return object;
  object["sample"] = now->sample ? json::value(sampleJson(*now->sample)) : json::value(nullptr);
  json::array processes;
  for (const ProcessView& process : now->processes) processes.push_back(processJson(process));
  object["processes"] = std::move(processes);
  return object;
}

json::object workloadJson(const ledger::State& state, const service::WorkloadRecord& workload) {
  json::array containers;
  for (const service::ContainerRecord& c : workload.containers) containers.push_back(containerJson(state, c));
  return {{"name", workload.spec.name.value},
          {"kind", manifest::name(workload.spec.kind)},
          {"namespace", workload.spec.name_space},
          {"state", service::stateName(workload)},
          {"source", workload.source},
          {"message", workload.message},
          {"created", timestamp(workload.created)},
          {"containers", std::move(containers)}};
}

json::object reservationJson(const ledger::State& state, const std::string& name,
                             const service::Reservation& reservation) {
  json::array indices;
  for (const ledger::Berth& berth : state.berths) {
    if (berth.holder.kind != ledger::HolderKind::Reservation || berth.holder.name != name) continue;
    indices.emplace_back(ledger::findGpu(state, berth.gpu)->index);
  }
  return {{"name", name},
          {"gpus", reservation.gpus},
          {"gpuIndices", std::move(indices)},
          {"created", timestamp(reservation.created)}};
}

json::object kubernetesJson(const ledger::State& state) {
  json::array owned;
  json::array claimable;
  for (const ledger::Gpu& gpu : state.gpus) {
    if (gpu.owner.kind == ledger::OwnerKind::Kubernetes) owned.emplace_back(gpu.index);
    if (gpu.owner.kind == ledger::OwnerKind::Free) claimable.emplace_back(gpu.index);
  }
  return {{"enabled", state.kubernetes.enabled},
          {"kubeletAttached", state.kubernetes.kubelet_attached},
          {"gpus", std::move(owned)},
          {"claimable", std::move(claimable)}};
}

json::object mpsJson(const ledger::Gpu& gpu, const MpsView& mps) {
  return {{"gpu", gpu.index},
          {"uuid", gpu.uuid.value},
          {"pciAddress", gpu.pci.value},
          {"mode", ledger::name(gpu.mode)},
          {"state", mps.state},
          {"generation", mps.generation},
          {"pid", mps.pid},
          {"serverPid", mps.server_pid},
          {"clients", mps.clients},
          {"pipeDirectory", mps.pipe_directory},
          {"message", mps.message}};
}

json::object operationJson(const service::Operation& operation) {
  json::object object{{"id", operation.id},
                      {"kind", operation.kind},
                      {"subject", operation.subject},
                      {"targets", strings(operation.targets)},
                      {"state", service::name(operation.state)},
                      {"percent", operation.percent},
                      {"message", operation.message},
                      {"warnings", strings(operation.warnings)},
                      {"error", nullptr},
                      {"created", timestamp(operation.created)},
                      {"finished", timestamp(operation.finished)}};
  if (operation.error && operation.state != service::Operation::State::Running) {
    object["error"] = http::toJson(*operation.error);
  }
  return object;
}

json::object eventJson(const service::Event& event) {
  return {{"seq", event.seq},
          {"time", timestamp(event.time)},
          {"kind", event.kind},
          {"subject", event.subject},
          {"message", event.message}};
}

json::object planJson(const service::Accepted& accepted) {
  json::array berths;
  for (const ledger::Berth& berth : accepted.berths) berths.push_back(berthJson(berth));
  return {{"changes", strings(accepted.changes)},
          {"warnings", strings(accepted.warnings)},
          {"berths", std::move(berths)}};
}

}  // namespace berth::api
