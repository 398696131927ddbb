// Logging: key=value lines on stderr, which systemd's journal keeps.
//
// Levels: error, we failed to do what we must; warning, the caller or the outside world is odd; info, who got
// or gave up what; debug, for developers. Keys, tokens and passwords never go in.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace berth {

enum class LogLevel : std::uint8_t { Error, Warning, Info, Debug };

struct LogField {
  std::string_view key;
  std::string value;
};

/// Lines above `level` are dropped. Default Info. Call before threads start.
void setLogLevel(LogLevel level);

/// One line: `level=info msg="GPU granted" gpu=GPU-1 to=vm1`. Safe from every thread; a line is one write.
void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace berth
