#include "base/log.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>

#include <unistd.h>

namespace berth {
namespace {

std::atomic<LogLevel> g_level{LogLevel::Info};

constexpr std::array<std::string_view, 4> kLevelNames{"error", "warning", "info", "debug"};
// What sd-daemon(3) reads in front of a line as its priority.
constexpr std::array<std::string_view, 4> kPriorities{"<3>", "<4>", "<6>", "<7>"};

bool isPlain(std::string_view text) {
  return !text.empty() && text.find_first_of(" \"=\\\n\r\t") == std::string_view::npos;
}

void appendValue(std::string& line, std::string_view value) {
  if (isPlain(value)) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '\n') {
      line += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') line += '\\';
    line += c == '\r' || c == '\t' ? ' ' : c;
  }
  line += '"';
}

}  // namespace

void setLogLevel(LogLevel level) { g_level.store(level, std::memory_order_relaxed); }

void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (level > g_level.load(std::memory_order_relaxed)) return;
  const auto index = static_cast<std::size_t>(level);
  static const bool under_systemd = ::getenv("JOURNAL_STREAM") != nullptr;
  std::string line;
  if (under_systemd) line += kPriorities.at(index);
  line.append("level=").append(kLevelNames.at(index)).append(" msg=");
  appendValue(line, message);
  for (const LogField& field : fields) {
    line.append(" ").append(field.key).append("=");
    appendValue(line, field.value);
  }
  line += '\n';
  // A log line that cannot be written has nowhere to be reported.
  static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
}

}  // namespace berth
