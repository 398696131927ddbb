// The other side of MPS in tests: what the control program answers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "os/process.h"

namespace berth::sharing::testing {

inline constexpr std::int64_t kServer = 500;

/// The control daemon's side of the conversation.
struct FakeControl {
  bool answers = true;
  bool server_starts = true;
  std::string percentage = "100.0";
  std::string server_state = "ACTIVE";
  std::vector<std::int64_t> servers;
  std::vector<std::int64_t> clients;
  std::vector<std::string> asked;

  Result<os::ProcessResult> answer(const os::ProcessSpec& spec) {
    const std::string command = spec.input.substr(0, spec.input.size() - 1);
    asked.push_back(command);
    if (!answers) return fail(ErrorCode::Timeout, "no answer");
    os::ProcessResult result;
    result.output = reply(command);
    return result;
  }

  std::string reply(const std::string& command) {
    const auto is = [&](const char* verb) { return command.starts_with(verb); };
    if (is("get_server_list")) return lines(servers);
    if (is("get_client_list")) return lines(clients);
    if (is("get_server_status")) return server_state;
    if (is("get_default_active_thread_percentage")) return percentage;
    if (is("set_default_active_thread_percentage "))
      percentage = command.substr(command.rfind(' ') + 1) + ".0";
    if (is("start_server") && server_starts) servers = {kServer};
    if (is("quit")) quit();
    return "";
  }

  static std::string lines(const std::vector<std::int64_t>& pids) {
    std::string text;
    for (const std::int64_t pid : pids) text += std::to_string(pid) + "\n";
    return text;
  }

  std::function<void()> quit = [] {};
};

}  // namespace berth::sharing::testing
