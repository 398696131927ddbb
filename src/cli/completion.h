// Completion scripts for shells, made from the command tree. Pure.
#pragma once

#include <string>
#include <string_view>

#include "cli/command_tree.h"

namespace berth::cli {

/// `shell` is "bash", "zsh" or "fish".
std::string completionScript(std::string_view shell, const CommandNode& root);

}  // namespace berth::cli
