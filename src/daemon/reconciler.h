// What turns news into work: commits, exits, timers and health events add keys to one queue, and its workers
// look at the workload, the GPU, the operation or the inventory that the key names.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/work_queue.h"
#include "daemon/engine_health.h"
#include "gpu/driver.h"
#include "service/conductor.h"
#include "service/desk.h"
#include "service/guard_keeper.h"
#include "service/inventory_keeper.h"
#include "service/sharing_keeper.h"
#include "service/workload_runner.h"

namespace berth::daemon {

class Reconciler {
 public:
  struct Parts {
    service::Desk& desk;
    service::InventoryKeeper& inventory;
    gpu::GpuDriver& driver;
    EngineHealth& engine;
  };

  explicit Reconciler(Parts parts) : parts_(parts) {}
  ~Reconciler();

  /// Those that in turn ask for work; set before begin().
  void attach(service::WorkloadRunner& workloads, service::SharingKeeper& sharing,
              service::GuardKeeper& guard);

  /// Called after each commit, on the committing thread. Set before begin().
  void alsoTell(std::function<void(const service::Book&, const service::Book&)> listener) {
    also_tell_ = std::move(listener);
  }

  /// Starts the workers and adds everything the book knows, so that what a crash cut off is taken up.
  void begin();
  /// Stops the event thread and the workers; what is being worked on is finished. Idempotent.
  void stop();

  void lookAtWorkload(const std::string& name, std::chrono::steady_clock::time_point when);
  void lookAtGpu(const GpuUuid& gpu, std::chrono::steady_clock::time_point when);
  /// The workloads with a berth on the GPU, and all operations that run.
  void sharingChanged(const GpuUuid& gpu);
  void lookAtInventory();

 private:
  void work(const std::string& key);
  void committed(const service::Book& before, const service::Book& after);
  void tendOperation(const std::string& id);
  void tendGuards();
  void tendInventory();
  void tendOrphans();
  void followEvents(const std::stop_token& stop);
  void handle(const gpu::GpuEvent& event);

  Parts parts_;
  service::WorkloadRunner* workloads_ = nullptr;
  service::SharingKeeper* sharing_ = nullptr;
  std::function<void(const service::Book&, const service::Book&)> also_tell_;
  service::GuardKeeper* guard_ = nullptr;
  std::unique_ptr<WorkQueue> queue_;
  std::jthread events_;
};

}  // namespace berth::daemon
