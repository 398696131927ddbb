#include "api/usage_views.h"

#include <algorithm>

#include <boost/json.hpp>

namespace berth::api {
namespace {

namespace json = boost::json;

json::object useJson(const sharing::GpuUse& use) {
  return {{"gpuNs", use.gpu_ns}, {"recentPermille", use.recent_permille}, {"memoryBytes", use.memory_bytes}};
}

json::value guardJson(const std::optional<sharing::GuardUse>& guard) {
  if (!guard) return nullptr;
  return {{"gpuNs", guard->gpu_ns},
          {"throttledNs", guard->throttled_ns},
          {"launches", guard->launches},
          {"refusedAllocations", guard->refused},
          {"memoryBytes", guard->memory_bytes},
          {"processes", guard->processes}};
}

const ledger::Berth* berthOf(const ledger::State& state, const GpuUuid& gpu, const std::string& container) {
  const auto found = std::ranges::find_if(state.berths, [&](const ledger::Berth& berth) {
    return berth.gpu == gpu && berth.holder.kind == ledger::HolderKind::Container &&
           berth.holder.name == container;
  });
  return found == state.berths.end() ? nullptr : &*found;
}

json::object containerJson(const ledger::State& state, const GpuUuid& uuid,
                           const sharing::ContainerUse& container) {
  json::object row = useJson(container.use);
  row["container"] = container.container;
  const ledger::Gpu* gpu = ledger::findGpu(state, uuid);
  row["gpu"] = gpu == nullptr ? json::value(nullptr) : json::value(gpu->index);
  const ledger::Berth* berth = berthOf(state, uuid, container.container);
  const ledger::Berth granted = berth == nullptr ? ledger::Berth{} : *berth;
  row["grantedPercent"] = granted.whole ? 100 : granted.compute.value;
  row["grantedMiB"] = granted.memory.value;
  row["computeRung"] = ledger::name(granted.compute_rung);
  row["memoryRung"] = ledger::name(granted.memory_rung);
  row["guard"] = guardJson(container.guard);
  return row;
}

}  // namespace

json::object usageJson(const ledger::State& state, const sharing::GpuReport& report) {
  json::array containers;
  for (const sharing::ContainerUse& container : report.containers) {
    containers.push_back(containerJson(state, report.gpu, container));
  }
  const ledger::Gpu* gpu = ledger::findGpu(state, report.gpu);
  return {{"gpu", gpu == nullptr ? json::value(nullptr) : json::value(gpu->index)},
          {"uuid", report.gpu.value},
          {"device", useJson(report.device)},
          {"containers", std::move(containers)},
          {"remainder", useJson(report.remainder)}};
}

json::array usageArray(const ledger::State& state, const std::vector<sharing::GpuReport>& reports) {
  json::array rows;
  for (const ledger::Gpu& gpu : state.gpus) {
    const auto report = std::ranges::find(reports, gpu.uuid, &sharing::GpuReport::gpu);
    if (report != reports.end()) rows.push_back(usageJson(state, *report));
  }
  return rows;
}

json::array containerUsage(const ledger::State& state, const std::vector<sharing::GpuReport>& reports,
                           const std::string& container) {
  json::array rows;
  for (const sharing::GpuReport& report : reports) {
    const auto found = std::ranges::find(report.containers, container, &sharing::ContainerUse::container);
    if (found != report.containers.end()) rows.push_back(containerJson(state, report.gpu, *found));
  }
  return rows;
}

}  // namespace berth::api
