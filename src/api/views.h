// What callers see of the service's values: the JSON of /api/v1 (docs/api.md). Pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "gpu/driver.h"
#include "service/service.h"

namespace berth::api {

/// MPS of one GPU as callers see it.
struct MpsView {
  std::string state = "off";  // "off", "starting", "running", "failed"
  std::int64_t generation = 0;
  std::int64_t pid = 0;
  std::int64_t server_pid = 0;
  int clients = 0;
  std::string pipe_directory;
  std::string message;
};

/// A process on a GPU and whose container it is in, if any.
struct ProcessView {
  gpu::GpuProcess process;
  std::string name;
  std::string container;
};

/// What is measured on one GPU now.
struct GpuNow {
  std::optional<gpu::GpuSample> sample;
  std::vector<ProcessView> processes;
};

/// "2026-01-02T03:04:05.678Z"; null for the epoch, which stands for never.
boost::json::value timestamp(service::WallTime time);

boost::json::object berthJson(const ledger::Berth& berth);
/// `now` adds "sample" and "processes".
boost::json::object gpuJson(const ledger::State& state, const ledger::Gpu& gpu, const MpsView& mps,
                            const GpuNow* now = nullptr);
boost::json::object workloadJson(const ledger::State& state, const service::WorkloadRecord& workload);
boost::json::object reservationJson(const ledger::State& state, const std::string& name,
                                    const service::Reservation& reservation);
boost::json::object kubernetesJson(const ledger::State& state);
boost::json::object mpsJson(const ledger::Gpu& gpu, const MpsView& mps);
boost::json::object operationJson(const service::Operation& operation);
boost::json::object eventJson(const service::Event& event);
boost::json::object planJson(const service::Accepted& accepted);

}  // namespace berth::api
