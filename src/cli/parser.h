// Reads the command line. Pure: no environment, no files. CLI11 stays inside parser.cpp.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cli/arguments.h"
#include "cli/command_tree.h"
#include "http/error_mapping.h"

namespace berth::cli {

/// Text instead of work: help (Done, for stdout) or what is wrong with the command line (Usage, for stderr).
struct Notice {
  http::ExitStatus status = http::ExitStatus::Done;
  std::string text;
};

/// `words` are the arguments without the program's name.
std::variant<Arguments, Notice> parse(const std::vector<std::string>& words);

/// All commands, `berth` itself at the top, with its global options.
CommandNode commandTree();

}  // namespace berth::cli
