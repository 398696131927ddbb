#include "cli/man_page.h"

#include <string_view>
#include <vector>

#include "base/text.h"
#include "cli/version.h"

namespace berth::cli {
namespace {

// Text that man(7) prints as it is: no escapes, no requests at a line's start, real hyphens.
std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string bold(std::string_view text) { return "\\fB" + roff(text) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + roff(text) + "\\fR"; }

std::string optionText(const OptionNode& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.names) names.push_back(bold(name));
  const std::string joined = join(names, ", ");
  return option.value.empty() ? joined : joined + " " + italic(option.value);
}

std::string optionEntry(const OptionNode& option) {
  return ".TP\n" + optionText(option) + "\n" + roff(option.description) + "\n";
}

std::string synopsis(const std::string& path, const CommandNode& node) {
  std::string line = bold(path);
  for (const OptionNode& positional : node.positionals) {
    const std::string name = italic(positional.names.front());
    line += positional.required ? " " + name : " [" + name + "]";
  }
  for (const OptionNode& option : node.options) {
    if (option.names.back() == "--help") continue;
    line += option.required ? " " + optionText(option) : " [" + optionText(option) + "]";
  }
  return line;
}

std::string exampleOf(const CommandNode& node) {
  constexpr std::string_view kMark = "Example:\n  ";
  const std::size_t at = node.footer.find(kMark);
  if (at == std::string::npos) return {};
  const std::string rest = node.footer.substr(at + kMark.size());
  return rest.substr(0, rest.find('\n'));
}

void commands(const CommandNode& node, const std::string& path, std::string& page) {
  for (const CommandNode& child : node.commands) {
    const std::string full = path + " " + child.name;
    commands(child, full, page);
    const std::string example = exampleOf(child);
    if (example.empty()) continue;
    page += ".TP\n" + synopsis(full, child) + "\n" + roff(child.description) + ".\n";
    for (const OptionNode& option : child.options) {
      if (option.names.back() == "--help") continue;
      page += ".br\n" + optionText(option) + ": " + roff(option.description) + ".\n";
    }
    page += ".br\nExample: " + bold(example) + "\n";
  }
}

}  // namespace

std::string manPage(const CommandNode& root) {
  std::string page = ".TH BERTH 1 \"\" \"berth " + std::string(kVersion) + "\" \"Berth\"\n";
  page += ".SH NAME\nberth \\- who has which GPU on this device, and why\n";
  page += ".SH SYNOPSIS\n" + bold("berth") + " [" + italic("options") + "] " + italic("command") + "\n";
  page +=
      ".SH DESCRIPTION\nTalks to the daemon berthd over its socket. Long work shows its progress; Ctrl\\-C "
      "leaves it running and\nsays how to follow it.\n";
  page += ".SH OPTIONS\n";
  for (const OptionNode& option : root.options) page += optionEntry(option);
  page += ".SH COMMANDS\n";
  commands(root, "berth", page);
  page +=
      ".SH EXIT STATUS\n.TP\n0\nDone.\n.TP\n1\nFailed, or its end was not awaited.\n.TP\n2\nUsage, or input "
      "that is not what the command takes.\n.TP\n3\nRefused; the reasons are on the standard error.\n";
  page +=
      ".SH ENVIRONMENT\n.TP\n\\fBBERTH_SOCKET\\fR\nThe daemon's socket.\n.TP\n\\fBNO_COLOR\\fR\nIf set and "
      "not empty, no colors.\n";
  page += ".SH FILES\n.TP\n/run/berth/berth.sock\nThe daemon's socket, where nothing else is said.\n";
  return page;
}

}  // namespace berth::cli
