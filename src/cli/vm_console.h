// The serial port of a virtual machine on this terminal.
#pragma once

#include <stop_token>
#include <string>

#include "base/error.h"

namespace berth::cli {

/// Connects the terminal to the socket until the guest's end closes, Ctrl-] is typed or the input ends; a
/// terminal is in raw mode meanwhile. Denied: the socket is root's. Unavailable: nothing listens. Blocks.
Result<void> attachConsole(const std::string& socket, const std::stop_token& stop);

}  // namespace berth::cli
