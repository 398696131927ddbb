// Whether the container engine answers and what it is, asked in the background: an answer takes Podman up to
// seconds, and `berth status` must not wait for it.
#pragma once

#include "api/routes.h"
#include "base/guarded.h"
#include "container/engine.h"

namespace berth::daemon {

/// Safe from several threads.
class EngineHealth {
 public:
  explicit EngineHealth(container::Engine& engine) : engine_(engine) {}

  /// Asks the engine. Blocks: worker threads only.
  void refresh();
  /// What the last refresh found.
  api::EngineView last() const;

 private:
  container::Engine& engine_;
  Guarded<api::EngineView> last_{api::EngineView{false, "", "not asked yet"}};
};

}  // namespace berth::daemon
