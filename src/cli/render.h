// The API's JSON as text for people. Pure; what is missing in the JSON is left out.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

#include "cli/arguments.h"
#include "cli/table.h"

namespace berth::cli {

/// The answer of a verb that looks, as its table or page.
std::string renderAnswer(Verb verb, const boost::json::value& answer, const TextStyle& style);

/// The page of `berth status`.
std::string renderStatus(const boost::json::value& status, const TextStyle& style);

/// A plan's changes, one a line; "nothing would change" for none.
std::string renderPlan(const boost::json::value& plan);

/// One line of `berth events -f`.
std::string renderEvent(const boost::json::value& event);

/// "vm vm1", "kubernetes"; from a GPU's "owner".
std::string ownerText(const boost::json::value& owner);
/// Who holds a berth and how much of the GPU: "cuda-sample1/0/c: 20 % threads (mps-v2), 4096 MiB (guard)".
std::string berthText(const boost::json::value& berth);
/// "2026-01-02 03:04:05" of the API's timestamp.
std::string timeText(std::string_view timestamp);

}  // namespace berth::cli
