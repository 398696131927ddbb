// The manual page berth(1), made from the command tree. Format: man(7). Pure.
#pragma once

#include <string>

#include "cli/command_tree.h"

namespace berth::cli {

std::string manPage(const CommandNode& root);

}  // namespace berth::cli
