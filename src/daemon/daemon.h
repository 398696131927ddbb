// The daemon put together: objects are built in the order in which they depend on each other and end in the
// reverse one.
#pragma once

#include <functional>

#include "base/error.h"
#include "daemon/config.h"

namespace berth::daemon {

/// Runs until SIGTERM or SIGINT, which the caller has blocked in every thread. `ready` is called once, when
/// requests are served.
Result<void> run(const Config& config, const std::function<void()>& ready);

}  // namespace berth::daemon
