#include "sharing/mps/mps_answers.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/text.h"

namespace berth::sharing {
namespace {

constexpr std::size_t kQuoted = 200;
constexpr int kWhole = 100;
constexpr std::size_t kRecordFields = 6;
constexpr std::int64_t kMaxMiB = std::int64_t{1} << 40;

auto unexpected(std::string_view answer) {
  return fail(ErrorCode::Unavailable,
              "the MPS control daemon answered: " + std::string(trim(answer).substr(0, kQuoted)));
}

bool isBootId(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
  });
}

}  // namespace

Result<std::vector<std::int64_t>> parsePidList(std::string_view answer) {
  std::vector<std::int64_t> pids;
  for (const std::string& line : split(answer, '\n')) {
    const std::string_view text = trim(line);
    if (text.empty()) continue;
    const std::optional<std::int64_t> pid = parseWholeNumber(text);
    if (!pid || *pid == 0) return unexpected(answer);
    pids.push_back(*pid);
  }
  return pids;
}

Result<MpsServerState> parseServerState(std::string_view answer) {
  constexpr std::array<std::pair<std::string_view, MpsServerState>, 3> kStates{
      {{"INITIALIZING", MpsServerState::Initializing},
       {"ACTIVE", MpsServerState::Active},
       {"FAULT", MpsServerState::Fault}}};
  for (const auto& [word, state] : kStates) {
    if (trim(answer) == word) return state;
  }
  return unexpected(answer);
}

Result<Percent> parsePercentage(std::string_view answer) {
  const std::string_view text = trim(answer);
  const std::size_t point = text.find('.');
  const std::optional<std::int64_t> whole = parseWholeNumber(text.substr(0, point));
  if (!whole || *whole > kWhole) return unexpected(answer);
  if (point != std::string_view::npos && !parseWholeNumber(text.substr(point + 1))) return unexpected(answer);
  return Percent{static_cast<int>(*whole)};
}

std::string toText(const MpsRecord& record) {
  return std::to_string(record.generation) + " " + std::to_string(record.process.pid) + " " +
         std::to_string(record.process.start_ticks) + " " + record.boot_id + " " +
         std::to_string(record.limits.threads.value) + " " + std::to_string(record.limits.memory.value) +
         "\n";
}

Result<MpsRecord> parseRecord(std::string_view text) {
  const auto corrupt = [] { return fail(ErrorCode::Corrupt, "the record of an MPS daemon is damaged"); };
  // The line's end is part of it: a record cut short is not a shorter record.
  if (!text.ends_with('\n')) return corrupt();
  const std::vector<std::string> fields = split(text.substr(0, text.size() - 1), ' ');
  if (fields.size() != kRecordFields || !isBootId(fields[3])) return corrupt();
  const auto generation = parseWholeNumber(fields[0]);
  const auto pid = parseWholeNumber(fields[1]);
  const auto start = parseWholeNumber(fields[2]);
  const auto threads = parseWholeNumber(fields[4]);
  const auto memory = parseWholeNumber(fields[5]);
  if (!generation || !pid || !start || !threads || *threads > kWhole || !memory || *memory > kMaxMiB) {
    return corrupt();
  }
  return MpsRecord{
      *generation, {*pid, *start}, fields[3], {Percent{static_cast<int>(*threads)}, MiB{*memory}}};
}

}  // namespace berth::sharing
