// Aligned columns of text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

/// How text is drawn where it goes: `width` 0 has no limit (a file or a pipe).
struct TextStyle {
  std::size_t width = 0;
  bool color = false;
};

enum class Tone : std::uint8_t { Plain, Good, Warning, Bad };

/// `text` in the tone's color, or as it is where there are no colors.
std::string toned(std::string_view text, Tone tone, const TextStyle& style);
/// The tone of a state or health word, "running", "lost"; Plain for other words.
Tone toneOf(std::string_view word);

class Table {
 public:
  enum class Column : std::uint8_t { Text, Number, Wide };  // A Wide one gives way on a narrow terminal.

  struct Head {
    std::string title;
    Column kind = Column::Text;
  };

  explicit Table(std::vector<Head> heads) : heads_(std::move(heads)) {}

  /// One cell per head; an empty one is shown as "-".
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// A line across the columns under the last row.
  void note(std::string line) { notes_.push_back({rows_.size(), std::move(line)}); }
  bool empty() const { return rows_.empty(); }

  /// Every line ends with a line end and no blanks. Columns that are "-" in all rows stay.
  std::string text(const TextStyle& style) const;

 private:
  struct Note {
    std::size_t after_row;
    std::string line;
  };

  std::vector<std::size_t> widths(const TextStyle& style) const;

  std::vector<Head> heads_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<Note> notes_;
};

}  // namespace berth::cli
