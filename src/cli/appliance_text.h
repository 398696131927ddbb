// What the appliance's shell prints for its own commands (design 10, rule A16), so that scripts written for
// it go on working. Its outputs: reference/appliance.md 5.4; the table is nvidia-smi's of driver branch 515.
// Pure.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

namespace berth::cli {

/// "00000000:3B:00.0", as nvidia-smi writes "0000:3b:00.0".
std::string busId(std::string_view pci_address);

/// After MPS was switched: the host, a line per GPU of GET /api/v1/mps whose MPS runs (on) or is off, and the
/// end lines.
std::string startMpsText(std::string_view host_name, const boost::json::value& mps);
std::string stopMpsText(std::string_view host_name, const boost::json::value& mps);

/// The host, a blank line and the table, from GET /api/v1/status. What the API does not tell is "N/A".
std::string nvidiaSmiText(const boost::json::value& status, std::string_view date);

}  // namespace berth::cli
