#include "gpu/vfio/journal.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "base/text.h"

namespace berth::vfio {
namespace {

using ledger::StepState;

constexpr std::array<std::pair<StepState, std::string_view>, 3> kStates{{
    {StepState::Intent, "intent"},
    {StepState::Done, "done"},
    {StepState::Undone, "undone"},
}};

std::optional<JournalEntry> decodeLine(std::string_view line, int seq) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
  const std::size_t tab = line.find('\t');
  if (second == std::string_view::npos || tab == std::string_view::npos || tab < second) return std::nullopt;
  const auto* const state = std::ranges::find(kStates, line.substr(first + 1, second - first - 1),
                                              &std::pair<StepState, std::string_view>::second);
  Result<Step> step =
      decode({std::string(line.substr(second + 1, tab - second - 1)), std::string(line.substr(tab + 1))});
  if (line.substr(0, first) != std::to_string(seq) || state == kStates.end() || !step) return std::nullopt;
  return JournalEntry{seq, *std::move(step), state->first};
}

}  // namespace

std::string encodeJournal(const std::vector<JournalEntry>& entries) {
  std::string text;
  for (const JournalEntry& entry : entries) {
    const auto* const state =
        std::ranges::find(kStates, entry.state, &std::pair<StepState, std::string_view>::first);
    const StepText step = encode(entry.step);
    text += std::to_string(entry.seq) + " " + std::string(state->second) + " " + step.step + "\t" +
            step.undo + "\n";
  }
  return text;
}

Result<std::vector<JournalEntry>> decodeJournal(std::string_view text) {
  std::vector<JournalEntry> entries;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const int seq = static_cast<int>(entries.size());
    auto entry = end == std::string_view::npos ? std::nullopt : decodeLine(text.substr(0, end), seq);
    if (!entry) {
      return fail(ErrorCode::Corrupt,
                  "line " + std::to_string(seq + 1) + " of the journal of a GPU's move is damaged");
    }
    entries.push_back(*std::move(entry));
    text.remove_prefix(end + 1);
  }
  return entries;
}

bool isPending(const std::vector<JournalEntry>& entries) {
  return std::ranges::any_of(entries,
                             [](const JournalEntry& entry) { return entry.state != StepState::Undone; });
}

bool isComplete(const std::vector<JournalEntry>& entries) {
  return !entries.empty() && std::ranges::all_of(entries, [](const JournalEntry& entry) {
    return entry.state == StepState::Done;
  });
}

}  // namespace berth::vfio
