// Who used what, as callers see it (docs/api.md, "Usage"). Pure functions.
#pragma once

#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "ledger/state.h"
#include "sharing/guard/gpu_accounts.h"

namespace berth::api {

/// One GPU: the device's figures, a row for each container, and the remainder. In each field the device is
/// the sum of the others.
boost::json::object usageJson(const ledger::State& state, const sharing::GpuReport& report);

/// All GPUs that were looked at, in index order.
boost::json::array usageArray(const ledger::State& state, const std::vector<sharing::GpuReport>& reports);

/// The rows of one container, one for each of its GPUs.
boost::json::array containerUsage(const ledger::State& state, const std::vector<sharing::GpuReport>& reports,
                                  const std::string& container);

}  // namespace berth::api
