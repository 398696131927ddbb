// The commands of `berth` as plain values, from which the completion scripts and the man page are made. They
// come from the parser's own tree, so that neither can miss a command.
#pragma once

#include <string>
#include <vector>

namespace berth::cli {

struct OptionNode {
  std::vector<std::string> names;  // "-o", "--output"; for a positional its name, "GPU".
  std::string value;               // "SECONDS", "table|json|yaml"; empty for a flag.
  std::vector<std::string> choices;
  std::string description;
  bool required = false;
  bool operator==(const OptionNode&) const = default;
};

struct CommandNode {
  std::string name;
  std::string description;
  std::string footer;  // The example, or more words.
  std::vector<OptionNode> options;
  std::vector<OptionNode> positionals;
  std::vector<CommandNode> commands;
};

}  // namespace berth::cli
