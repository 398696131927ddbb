// /api/v1: which routes there are, who may use them, and how each turns a request into a call of the service.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "api/views.h"
#include "gpu/driver.h"
#include "http/router.h"
#include "service/extension_service.h"
#include "service/service.h"
#include "service/vm_service.h"
#include "sharing/guard/gpu_accounts.h"

namespace berth::api {

/// The container engine as it was when last asked.
struct EngineView {
  bool available = false;
  std::string version;  // "podman 4.3.1"
  std::string message;  // Why it is not available.
};

/// What is measured or running now and therefore in no ledger. Calls may block for the driver; safe from
/// every thread.
class LiveData {
 public:
  virtual ~LiveData() = default;
  virtual MpsView mps(const ledger::Gpu& gpu) = 0;
  virtual GpuNow now(const ledger::State& state, const ledger::Gpu& gpu) = 0;
  virtual Result<gpu::DriverInfo> driver() = 0;
  virtual std::vector<sharing::GpuReport> usage() = 0;  // As last looked; never waits for the driver.
  virtual EngineView engine() = 0;                      // Never waits for the engine.
};

/// Faults of the simulated driver. Unavailable: the driver is a real one.
class Simulation {
 public:
  virtual ~Simulation() = default;
  /// The simulated driver's own status, as JSON text.
  virtual Result<std::string> status() = 0;
  virtual Result<void> inject(const ledger::Gpu& gpu, const std::string& fault,
                              const std::optional<std::int64_t>& value) = 0;
};

struct Collaborators {
  service::Service& service;
  LiveData& live;
  Simulation& simulation;
  service::VmService& vms;
  service::ExtensionService& extensions;
};

/// The routes over these, which outlive the server, then `more`, then the description of them all.
std::vector<http::Route> routes(Collaborators parts, std::vector<http::Route> more = {});

}  // namespace berth::api
