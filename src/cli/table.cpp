#include "cli/table.h"

#include <algorithm>
#include <array>
#include <utility>

namespace berth::cli {
namespace {

constexpr std::string_view kGap = "  ";
constexpr std::size_t kLeastWide = 12;

struct Toned {
  std::string_view word;
  Tone tone;
};
constexpr std::array<Toned, 13> kTones{{{"ok", Tone::Good},
                                        {"running", Tone::Good},
                                        {"succeeded", Tone::Good},
                                        {"pending", Tone::Warning},
                                        {"waiting", Tone::Warning},
                                        {"starting", Tone::Warning},
                                        {"moving", Tone::Warning},
                                        {"backoff", Tone::Warning},
                                        {"failed", Tone::Bad},
                                        {"degraded", Tone::Bad},
                                        {"unhealthy", Tone::Bad},
                                        {"lost", Tone::Bad},
                                        {"quarantined", Tone::Bad}}};

// Characters, not bytes: a continuation byte of UTF-8 takes no room.
bool startsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }

std::size_t displayWidth(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), startsCharacter));
}

std::string cut(const std::string& text, std::size_t width) {
  if (displayWidth(text) <= width) return text;
  std::string kept;
  std::size_t taken = 0;
  for (const char c : text) {
    if (startsCharacter(c) && ++taken >= width) break;
    kept += c;
  }
  return kept + "~";
}

void trimEnd(std::string& line) { line.erase(line.find_last_not_of(' ') + 1); }

std::string cell(const std::string& text, std::size_t width, Table::Column kind, const TextStyle& style) {
  const std::string shown = cut(text.empty() ? "-" : text, width);
  const std::string blanks(width - displayWidth(shown), ' ');
  const std::string colored = toned(shown, toneOf(shown), style);
  return kind == Table::Column::Number ? blanks + colored : colored + blanks;
}

}  // namespace

std::string toned(std::string_view text, Tone tone, const TextStyle& style) {
  static constexpr std::array<std::string_view, 4> kCodes{"", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
  if (!style.color || tone == Tone::Plain) return std::string(text);
  return std::string(kCodes.at(static_cast<std::size_t>(tone))).append(text).append("\x1b[0m");
}

Tone toneOf(std::string_view word) {
  const auto* const found =
      std::find_if(kTones.begin(), kTones.end(), [&](const Toned& toned) { return toned.word == word; });
  return found == kTones.end() ? Tone::Plain : found->tone;
}

std::vector<std::size_t> Table::widths(const TextStyle& style) const {
  std::vector<std::size_t> widths;
  std::size_t total = 0;
  for (std::size_t i = 0; i < heads_.size(); ++i) {
    std::size_t width = displayWidth(heads_[i].title);
    for (const auto& row : rows_) width = std::max(width, displayWidth(row.at(i)));
    widths.push_back(width);
    total += width + (i == 0 ? 0 : kGap.size());
  }
  if (style.width == 0) return widths;
  for (std::size_t i = heads_.size(); i-- > 0 && total > style.width;) {
    if (heads_[i].kind != Column::Wide || widths[i] <= kLeastWide) continue;
    const std::size_t less = std::min(total - style.width, widths[i] - kLeastWide);
    widths[i] -= less;
    total -= less;
  }
  return widths;
}

std::string Table::text(const TextStyle& style) const {
  const std::vector<std::size_t> widths = this->widths(style);
  std::string text;
  std::string line;
  for (std::size_t i = 0; i < heads_.size(); ++i) {
    line += (i == 0 ? "" : kGap);
    line += cell(heads_[i].title, widths[i], heads_[i].kind, TextStyle{});
  }
  trimEnd(line);
  text += line + "\n";
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    line.clear();
    for (std::size_t i = 0; i < heads_.size(); ++i) {
      line += (i == 0 ? "" : kGap);
      line += cell(rows_[row].at(i), widths[i], heads_[i].kind, style);
    }
    trimEnd(line);
    text += line + "\n";
    for (const Note& note : notes_) {
      if (note.after_row == row + 1) text += note.line + "\n";
    }
  }
  return text;
}

}  // namespace berth::cli
