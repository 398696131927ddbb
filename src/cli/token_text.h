// `berth token` as text for people. Pure.
#pragma once

#include <string>

#include <boost/json/fwd.hpp>

#include "cli/table.h"

namespace berth::cli {

/// Who may sign in, one a line.
std::string tokenList(const boost::json::value& accounts, const TextStyle& style);

/// What was made and is never shown again.
std::string newSecretPage(const boost::json::value& made);

}  // namespace berth::cli
