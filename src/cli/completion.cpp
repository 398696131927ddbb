#include "cli/completion.h"

#include <functional>
#include <vector>

#include "base/text.h"

namespace berth::cli {
namespace {

using Visit = std::function<void(const std::string& path, const CommandNode& node)>;

// Every command with its path, "gpu mode"; the root's is "".
void walk(const CommandNode& node, const std::string& path, const Visit& visit) {
  visit(path, node);
  for (const CommandNode& child : node.commands) {
    walk(child, path.empty() ? child.name : path + " " + child.name, visit);
  }
}

// What may follow a command's words.
std::vector<std::string> wordsAfter(const CommandNode& node) {
  std::vector<std::string> words;
  for (const CommandNode& child : node.commands) words.push_back(child.name);
  for (const OptionNode& positional : node.positionals) {
    words.insert(words.end(), positional.choices.begin(), positional.choices.end());
  }
  for (const OptionNode& option : node.options) {
    words.insert(words.end(), option.names.begin(), option.names.end());
  }
  return words;
}

bool takesFile(const OptionNode& option) { return option.value == "FILE" || option.value == "PATH"; }

// The options that take a value, by what completes it: an action's text for each.
std::string valueCases(const CommandNode& root, const std::function<std::string(const OptionNode&)>& action) {
  std::vector<std::string> cases;
  walk(root, "", [&](const std::string& path, const CommandNode& node) {
    for (const OptionNode& option : node.options) {
      if (option.value.empty()) continue;
      for (const std::string& name : option.names) {
        cases.push_back("    '" + path + " " + name + "') " + action(option) + " ;;\n");
      }
    }
  });
  return join(cases, "");
}

std::string bashAction(const OptionNode& option) {
  if (takesFile(option)) return "COMPREPLY=($(compgen -f -- \"$cur\")); return";
  return "COMPREPLY=($(compgen -W '" + join(option.choices, " ") + "' -- \"$cur\")); return";
}

std::string globalNames(const CommandNode& root) {
  std::vector<std::string> names;
  for (const OptionNode& option : root.options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return join(names, " ");
}

std::string pathPattern(const CommandNode& root) {
  std::vector<std::string> paths;
  walk(root, "", [&](const std::string& path, const CommandNode& /*node*/) {
    if (!path.empty()) paths.push_back("'" + path + "'");
  });
  return join(paths, " | ");
}

// The functions shared by bash and zsh (which runs them through bashcompinit).
std::string bashScript(const CommandNode& root) {
  std::string words;
  walk(root, "", [&](const std::string& path, const CommandNode& node) {
    words += "    '" + path + "') words='" + join(wordsAfter(node), " ") + "' ;;\n";
  });
  return "_berth() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path='' words='' word next\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    next=${path:+$path }$word\n"
         "    case \"$next\" in\n"
         "      " +
         pathPattern(root) +
         ") path=$next ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$path $prev\" in\n" +
         valueCases(root, bashAction) +
         "  esac\n"
         "  case \"$prev\" in\n"
         "    -o | --output) COMPREPLY=($(compgen -W 'table json yaml' -- \"$cur\")); return ;;\n"
         "    --socket) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
         "  esac\n"
         "  case \"$path\" in\n" +
         words +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words " +
         globalNames(root) +
         "\" -- \"$cur\"))\n"
         "}\n"
         "complete -F _berth berth\n";
}

std::string zshScript(const CommandNode& root) {
  return "#compdef berth\nautoload -U +X bashcompinit && bashcompinit\n" + bashScript(root);
}

std::string fishQuoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string fishOption(const std::string& condition, const OptionNode& option) {
  std::string line = "complete -c berth" + condition;
  for (const std::string& name : option.names) {
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  if (takesFile(option)) line += " -r -F";
  if (!option.value.empty() && !takesFile(option)) line += " -x";
  if (!option.choices.empty()) line += " -a " + fishQuoted(join(option.choices, " "));
  return line + " -d " + fishQuoted(option.description) + "\n";
}

// True where exactly these commands were given, and none below them.
std::string fishCondition(const std::string& path, const CommandNode& node) {
  std::vector<std::string> below;
  for (const CommandNode& child : node.commands) below.push_back(child.name);
  std::string condition = "__berth_at " + fishQuoted(path);
  if (!below.empty()) condition += " " + join(below, " ");
  return " -n " + fishQuoted(condition);
}

std::string fishScript(const CommandNode& root) {
  std::string script =
      "# $argv[1]: the commands given so far; the rest: those that must not follow yet.\n"
      "function __berth_at\n"
      "  set -l words (commandline -opc | string match -v -- '-*')\n"
      "  string match -q -- \"berth $argv[1]*\" \"$words \"; or return 1\n"
      "  for word in $argv[2..]\n"
      "    contains -- $word $words; and return 1\n"
      "  end\n"
      "  return 0\n"
      "end\n"
      "complete -c berth -f\n";
  walk(root, "", [&](const std::string& path, const CommandNode& node) {
    const std::string condition = path.empty() && node.commands.empty() ? "" : fishCondition(path, node);
    for (const CommandNode& child : node.commands) {
      script += "complete -c berth" + condition + " -a " + fishQuoted(child.name) + " -d " +
                fishQuoted(child.description) + "\n";
    }
    for (const OptionNode& positional : node.positionals) {
      if (positional.choices.empty()) continue;
      script += "complete -c berth" + condition + " -a " + fishQuoted(join(positional.choices, " ")) + "\n";
    }
    for (const OptionNode& option : node.options) {
      script += fishOption(path.empty() ? "" : condition, option);
    }
  });
  return script;
}

}  // namespace

std::string completionScript(std::string_view shell, const CommandNode& root) {
  if (shell == "zsh") return zshScript(root);
  if (shell == "fish") return fishScript(root);
  return bashScript(root);
}

}  // namespace berth::cli
