#include "vm/guest_agent.h"

#include <algorithm>
#include <array>
#include <thread>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "vm/json.h"

namespace berth::vm {
namespace {

namespace json = boost::json;

constexpr std::chrono::milliseconds kFirstPause{20};
constexpr std::chrono::milliseconds kLongestPause{500};
constexpr std::chrono::seconds kPingTime{3};
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string command(std::string_view name, json::object arguments = {}) {
  json::object call{{"execute", name}};
  if (!arguments.empty()) call["arguments"] = std::move(arguments);
  return json::serialize(call);
}

/// The "return" of an answer.
Result<json::value> answer(const std::string& text) {
  auto parsed = parseJson(text, "guest agent");
  const json::object* object = parsed ? parsed->if_object() : nullptr;
  if (object == nullptr) return fail(ErrorCode::Corrupt, "the guest agent's answer is not a JSON object");
  if (const json::value* error = object->if_contains("error")) {
    const json::object* inner = error->if_object();
    const json::value* what = inner == nullptr ? nullptr : inner->if_contains("desc");
    const std::string words =
        what != nullptr && what->is_string() ? std::string(what->get_string()) : "no reason";
    return fail(Error{ErrorCode::Conflict, "the guest agent refused: " + words, "AgentError", {}});
  }
  const json::value* value = object->if_contains("return");
  if (value == nullptr) return fail(ErrorCode::Corrupt, "the guest agent's answer has no return value");
  return *value;
}

std::int64_t numberOr(const json::object& object, std::string_view key, std::int64_t fallback) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_int64() ? value->get_int64() : fallback;
}

bool flag(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::string data(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return {};
  return base64Decode(std::string_view(value->get_string())).value_or(std::string());
}

/// Sleeps a little, longer each time; false: the deadline is there.
bool pause(std::chrono::milliseconds& length, Deadline deadline) {
  const auto now = std::chrono::steady_clock::now();
  if (now >= deadline) return false;
  std::this_thread::sleep_until(std::min(deadline, now + length));
  length = std::min(length * 2, kLongestPause);
  return true;
}

GuestExit readExit(const json::object& status) {
  return {static_cast<int>(numberOr(status, "exitcode", 0)), static_cast<int>(numberOr(status, "signal", 0)),
          data(status, "out-data"), data(status, "err-data"),
          flag(status, "out-truncated") || flag(status, "err-truncated")};
}

}  // namespace

std::string base64Encode(std::string_view bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8U | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= count ? kAlphabet[group >> (18U - 6U * static_cast<unsigned>(j)) & 0x3fU] : '=';
    }
  }
  return text;
}

std::optional<std::string> base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t group = 0;
    for (std::size_t j = i; j < i + 4; ++j) {
      const bool pad = j >= text.size() - padding;
      const std::size_t value = pad ? 0 : kAlphabet.find(text[j]);
      if (value == std::string_view::npos) return std::nullopt;
      group = group << 6U | static_cast<std::uint32_t>(value);
    }
    for (unsigned shift = 16;; shift -= 8) {
      bytes += static_cast<char>(group >> shift & 0xffU);
      if (shift == 0) break;
    }
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

Result<std::string> GuestAgent::send(const std::string& command, Deadline deadline) {
  if (!stop_.stop_requested()) return hypervisor_.agentCommand(name_, command, deadline);
  return fail(Error{ErrorCode::Unavailable, "berthd stops", "Stopped", {}});
}

Result<void> GuestAgent::ping(Deadline deadline) {
  TRY(const auto text, send(command("guest-ping"), deadline));
  TRY(const auto value, answer(text));
  return {};
}

Result<void> GuestAgent::waitReady(Deadline deadline) {
  std::chrono::milliseconds length = kFirstPause;
  while (true) {
    // A ping sent while the agent starts may get lost; the next one is answered.
    Result<void> result = ping(std::min(deadline, std::chrono::steady_clock::now() + kPingTime));
    if (result || result.error().reason != "AgentUnavailable") return result;
    if (!pause(length, deadline)) {
      return fail(
          Error{ErrorCode::Timeout, "no guest agent answers in VM " + name_.value, "AgentUnavailable", {}});
    }
  }
}

Result<GuestExit> GuestAgent::exec(const std::vector<std::string>& argv, const std::string& input,
                                   Deadline deadline) {
  if (argv.empty()) return fail(ErrorCode::InvalidArgument, "no program to run");
  json::object arguments{
      {"path", argv.front()}, {"arg", json::array(argv.begin() + 1, argv.end())}, {"capture-output", true}};
  if (!input.empty()) arguments["input-data"] = base64Encode(input);
  TRY(const auto text, send(command("guest-exec", std::move(arguments)), deadline));
  TRY(const auto started, answer(text));
  if (!started.is_object()) return fail(ErrorCode::Corrupt, "guest-exec's answer is not an object");
  const std::int64_t pid = numberOr(started.get_object(), "pid", -1);
  std::chrono::milliseconds length = kFirstPause;
  while (true) {
    TRY(const auto status_text, send(command("guest-exec-status", {{"pid", pid}}), deadline));
    TRY(const auto status, answer(status_text));
    if (!status.is_object()) return fail(ErrorCode::Corrupt, "guest-exec-status's answer is not an object");
    if (flag(status.get_object(), "exited")) return readExit(status.get_object());
    if (!pause(length, deadline)) {
      return fail(ErrorCode::Timeout, argv.front() + " still runs in VM " + name_.value);
    }
  }
}

Result<void> GuestAgent::writeFile(const std::string& path, std::string_view content, Deadline deadline) {
  return writeFile(
      path,
      [&content]() -> Result<std::string> {
        std::string piece(content.substr(0, kAgentWriteChunk));
        content.remove_prefix(piece.size());
        return piece;
      },
      deadline);
}

Result<void> GuestAgent::writeFile(const std::string& path, const std::function<Result<std::string>()>& next,
                                   Deadline deadline) {
  TRY(const auto opened_text, send(command("guest-file-open", {{"path", path}, {"mode", "wb"}}), deadline));
  TRY(const auto handle, answer(opened_text));
  Result<void> written = writePieces(json::serialize(handle), next, deadline);
  auto closed = send(command("guest-file-close", {{"handle", handle}}), deadline);
  if (!written) return written;
  TRY(const auto closed_text, std::move(closed));
  TRY(const auto value, answer(closed_text));
  return {};
}

/// `handle` is JSON.
Result<void> GuestAgent::writePieces(const std::string& handle,
                                     const std::function<Result<std::string>()>& next, Deadline deadline) {
  TRY(const json::value number, parseJson(handle, "guest agent"));
  for (;;) {
    TRY(const std::string piece, next());
    if (piece.empty()) return {};
    TRY(const auto text,
        send(command("guest-file-write", {{"handle", number}, {"buf-b64", base64Encode(piece)}}), deadline));
    TRY(const auto done, answer(text));
  }
}

Result<std::string> GuestAgent::osInfo(Deadline deadline) {
  TRY(const auto text, send(command("guest-get-osinfo"), deadline));
  TRY(const auto value, answer(text));
  return json::serialize(value);
}

}  // namespace berth::vm
