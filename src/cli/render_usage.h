// Who used what of a GPU, as a table. Pure.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

#include "cli/table.h"

namespace berth::cli {

/// The table of one GPU's "usage", with the remainder and the device as its last rows; empty without one.
std::string renderGpuUsage(const boost::json::value& usage, const TextStyle& style);

/// The table of a workload's containers, from their "usage"; empty when none has any.
std::string renderWorkloadUsage(const boost::json::value& workload, const TextStyle& style);

}  // namespace berth::cli
