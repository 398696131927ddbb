#include "mps/commands.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "base/text.h"
#include "engine/mps_settings.h"

namespace berth::sim::mps {
namespace {

/// What the arguments of a verb are, one letter each: s server pid, c client pid, p percentage, d device,
/// l limit.
struct Form {
  std::string_view name;
  Verb verb;
  std::string_view arguments;
};

constexpr std::array kForms{
    Form{"get_server_list", Verb::GetServerList, ""},
    Form{"get_server_status", Verb::GetServerStatus, "s"},
    Form{"get_client_list", Verb::GetClientList, "s"},
    Form{"get_device_client_list", Verb::GetDeviceClientList, ""},
    Form{"get_device_client_list", Verb::GetDeviceClientList, "s"},
    Form{"ps", Verb::Ps, ""},
    Form{"get_default_active_thread_percentage", Verb::GetDefaultThreadPercent, ""},
    Form{"set_default_active_thread_percentage", Verb::SetDefaultThreadPercent, "p"},
    Form{"get_active_thread_percentage", Verb::GetThreadPercent, "s"},
    Form{"set_active_thread_percentage", Verb::SetThreadPercent, "sp"},
    Form{"get_default_device_pinned_mem_limit", Verb::GetDefaultPinnedLimit, "d"},
    Form{"set_default_device_pinned_mem_limit", Verb::SetDefaultPinnedLimit, "dl"},
    Form{"get_device_pinned_mem_limit", Verb::GetPinnedLimit, "sd"},
    Form{"set_device_pinned_mem_limit", Verb::SetPinnedLimit, "sdl"},
    Form{"terminate_client", Verb::TerminateClient, "sc"},
    Form{"shutdown_server", Verb::ShutdownServer, "s"},
    Form{"quit", Verb::Quit, ""},
};

std::vector<std::string> words(std::string_view line) {
  auto parts = split(line, ' ');
  std::erase_if(parts, [](const std::string& part) { return trim(part).empty(); });
  for (auto& part : parts) part = std::string(trim(part));
  return parts;
}

template <typename T>
bool whole(const std::string& text, T& value) {
  const auto number = parseWholeNumber(text);
  if (!number || *number > std::numeric_limits<std::int32_t>::max()) return false;
  value = static_cast<T>(*number);
  return true;
}

bool take(char kind, const std::string& text, Command& command) {
  if (kind == 's') return whole(text, command.server);
  if (kind == 'c') return whole(text, command.client);
  if (kind == 'd') {
    command.device = text;
    return true;
  }
  if (kind == 'p') {
    command.thread_percent = parseThreadPercent(text).value_or(0);
    return command.thread_percent != 0;
  }
  command.limit_bytes = parseMemoryLimit(text).value_or(0);
  return command.limit_bytes != 0;
}

/// Takes the options off the end: `-uid N`, `-f`, `-t N`.
bool takeOptions(std::vector<std::string>& parts, Command& command) {
  const std::string verb = parts.front();
  if (verb == "start_server") {
    command.verb = Verb::StartServer;
    return parts.size() == 3 && parts[1] == "-uid" && whole(parts[2], command.uid);
  }
  if (verb == "shutdown_server" && parts.size() == 3 && parts[2] == "-f") {
    command.force = true;
    parts.pop_back();
  }
  if (verb == "quit" && parts.size() == 3 && parts[1] == "-t") {
    std::uint32_t seconds = 0;
    if (!whole(parts[2], seconds)) return false;
    command.timeout_s = seconds;
    parts.resize(1);
  }
  return true;
}

}  // namespace

Result<Command> parseCommand(std::string_view line) {
  auto parts = words(line);
  if (parts.empty()) return fail(ErrorCode::InvalidArgument, "a command is missing");
  const std::string name = parts.front();
  Command command;
  const bool options = takeOptions(parts, command);
  if (options && name == "start_server") return command;
  bool known = name == "start_server";
  for (const Form& form : kForms) {
    if (form.name != name) continue;
    known = true;
    if (!options || parts.size() - 1 != form.arguments.size()) continue;
    command.verb = form.verb;
    bool good = true;
    for (std::size_t i = 0; i < form.arguments.size(); ++i) {
      good = good && take(form.arguments[i], parts[i + 1], command);
    }
    if (good) return command;
  }
  return fail(ErrorCode::InvalidArgument, (known ? "wrong arguments for " : "unknown command ") + name);
}

std::string percentText(std::uint32_t percent) { return std::to_string(percent) + ".0"; }

std::string limitText(std::uint64_t bytes) { return std::to_string(bytes >> 20U) + "M"; }

}  // namespace berth::sim::mps
