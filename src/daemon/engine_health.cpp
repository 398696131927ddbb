#include "daemon/engine_health.h"

namespace berth::daemon {

void EngineHealth::refresh() {
  const Result<std::string> version = engine_.version();
  api::EngineView view;
  view.available = version.has_value();
  (version ? view.version : view.message) = version ? *version : version.error().message;
  last_.with([&](api::EngineView& last) { last = view; });
}

api::EngineView EngineHealth::last() const {
  return last_.with([](const api::EngineView& last) { return last; });
}

}  // namespace berth::daemon
