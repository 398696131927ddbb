// Dates as the templates' functions know them: ISO 8601 in, .NET's format strings out, UTC throughout.
#include <array>
#include <chrono>
#include <cstdio>
#include <optional>

#include <boost/json.hpp>

#include "arm/template/functions.h"
#include "base/text.h"

namespace berth::arm_template {
namespace {

using Seconds = std::chrono::sys_seconds;

constexpr std::int64_t kLeastEpoch = -62'135'596'800;  // 0001-01-01
constexpr std::int64_t kMostEpoch = 253'402'300'799;   // 9999-12-31T23:59:59
constexpr const char* kDefaultFormat = "yyyy-MM-ddTHH:mm:ssZ";
constexpr std::array<const char*, 12> kMonths{"January",   "February", "March",    "April",
                                              "May",       "June",     "July",     "August",
                                              "September", "October",  "November", "December"};
constexpr std::array<const char*, 7> kDays{"Sunday",   "Monday", "Tuesday", "Wednesday",
                                           "Thursday", "Friday", "Saturday"};

/// Takes text from the front, piece by piece.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  bool done() const { return text_.empty(); }
  bool take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  /// Exactly `count` digits.
  std::optional<std::int64_t> digits(std::size_t count) {
    const auto number = text_.size() < count ? std::nullopt : parseWholeNumber(text_.substr(0, count));
    if (number) text_.remove_prefix(count);
    return number;
  }
  /// As many digits as there are, at least one and at most nine.
  std::optional<std::int64_t> number() {
    std::size_t count = 0;
    while (count < text_.size() && count < 9 && text_[count] >= '0' && text_[count] <= '9') ++count;
    return digits(count);
  }

 private:
  std::string_view text_;
};

std::optional<Seconds> dateFrom(std::int64_t year, std::int64_t month, std::int64_t day) {
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (year < 1 || !date.ok()) return std::nullopt;
  return Seconds(std::chrono::sys_days(date));
}

std::optional<std::chrono::seconds> offsetFrom(Reader& reader) {
  if (reader.done() || reader.take('Z') || reader.take('z')) return std::chrono::seconds(0);
  const bool plus = reader.take('+');
  if (!plus && !reader.take('-')) return std::nullopt;
  const auto hours = reader.digits(2);
  reader.take(':');
  const auto minutes = reader.digits(2);
  if (!hours || !minutes) return std::nullopt;
  const std::chrono::seconds offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
  return plus ? offset : -offset;
}

/// "2026-11-30T06:49:48Z", "2026-11-30 06:49:48", "2026-11-30", "20261130T064948Z", with fractions or
/// offsets.
std::optional<Seconds> parseDate(std::string_view text) {
  Reader reader(trim(text));
  const auto year = reader.digits(4);
  const bool dashes = reader.take('-');
  const auto month = reader.digits(2);
  if (dashes && !reader.take('-')) return std::nullopt;
  const auto day = reader.digits(2);
  if (!year || !month || !day) return std::nullopt;
  std::optional<Seconds> date = dateFrom(*year, *month, *day);
  if (!date || reader.done()) return date;
  if (!reader.take('T') && !reader.take('t') && !reader.take(' ')) return std::nullopt;
  const auto hours = reader.digits(2);
  reader.take(':');
  const auto minutes = reader.digits(2);
  reader.take(':');
  const auto seconds = reader.digits(2);
  if (!hours || !minutes || !seconds || *hours > 23 || *minutes > 59 || *seconds > 59) return std::nullopt;
  if (reader.take('.') && !reader.number()) return std::nullopt;
  const auto offset = offsetFrom(reader);
  if (!offset || !reader.done()) return std::nullopt;
  return *date + std::chrono::hours(*hours) + std::chrono::minutes(*minutes) +
         std::chrono::seconds(*seconds) - *offset;
}

Result<Seconds> dateArgument(const Arguments& args, std::size_t i) {
  TRY(const std::string text, args.text(i));
  const auto date = parseDate(text);
  if (date) return *date;
  return fail(badCall("\"" + text + "\" is not a date like 2026-11-30T06:49:48Z"));
}

struct Parts {
  std::chrono::year_month_day date;
  std::chrono::hh_mm_ss<std::chrono::seconds> time;
  unsigned weekday;
};

Parts partsOf(Seconds when) {
  const auto day = std::chrono::floor<std::chrono::days>(when);
  return {std::chrono::year_month_day(day), std::chrono::hh_mm_ss<std::chrono::seconds>(when - day),
          std::chrono::weekday(day).c_encoding()};
}

std::string padded(std::int64_t number, std::size_t width) {
  std::string text = std::to_string(number);
  if (text.size() < width) text.insert(0, width - text.size(), '0');
  return text;
}

/// One run of a format's letter: "yyyy", "d".
std::string fieldText(char letter, std::size_t count, const Parts& parts) {
  const int year = static_cast<int>(parts.date.year());
  const unsigned month = static_cast<unsigned>(parts.date.month());
  const auto hours = static_cast<std::int64_t>(parts.time.hours().count());
  switch (letter) {
    case 'y':
      return count <= 2 ? padded(year % 100, count) : padded(year, count);
    case 'M':
      if (count == 3) return std::string(kMonths.at(month - 1)).substr(0, 3);
      return count > 3 ? kMonths.at(month - 1) : padded(month, count);
    case 'd':
      if (count == 3) return std::string(kDays.at(parts.weekday)).substr(0, 3);
      return count > 3 ? kDays.at(parts.weekday) : padded(static_cast<unsigned>(parts.date.day()), count);
    case 'H':
      return padded(hours, count);
    case 'h':
      return padded(hours % 12 == 0 ? 12 : hours % 12, count);
    case 'm':
      return padded(parts.time.minutes().count(), count);
    case 's':
      return padded(parts.time.seconds().count(), count);
    case 'f':
      return std::string(count, '0');
    case 't':
      return std::string(hours < 12 ? "AM" : "PM").substr(0, count);
    case 'z':
      return count == 1 ? "+0" : count == 2 ? "+00" : "+00:00";
    case 'K':
      return "Z";
    default:
      return std::string(count, letter);
  }
}

std::string customFormat(std::string_view format, const Parts& parts) {
  constexpr std::string_view kFields = "yMdHhmsftzK";
  std::string out;
  for (std::size_t i = 0; i < format.size();) {
    const char c = format[i];
    const std::size_t quote_end = c == '\'' || c == '"' ? format.find(c, i + 1) : std::string_view::npos;
    if (quote_end != std::string_view::npos) {
      out += format.substr(i + 1, quote_end - i - 1);
      i = quote_end + 1;
      continue;
    }
    if (c == '\\' && i + 1 < format.size()) {
      out += format[i + 1];
      i += 2;
      continue;
    }
    std::size_t count = 1;
    const bool is_field = kFields.find(c) != std::string_view::npos;
    while (is_field && i + count < format.size() && format[i + count] == c) ++count;
    out += fieldText(c, count, parts);
    i += count;
  }
  return out;
}

/// .NET's standard format letters that make sense for UTC, and custom formats.
std::string formatted(Seconds when, const std::string& format) {
  const Parts parts = partsOf(when);
  if (format.size() != 1) return customFormat(format, parts);
  switch (format[0]) {
    case 'd':
      return customFormat("MM/dd/yyyy", parts);
    case 'D':
      return customFormat("dddd, dd MMMM yyyy", parts);
    case 'o':
    case 'O':
      return customFormat("yyyy-MM-ddTHH:mm:ss.fffffffK", parts);
    case 'r':
    case 'R':
      return customFormat("ddd, dd MMM yyyy HH:mm:ss 'GMT'", parts);
    case 's':
      return customFormat("yyyy-MM-ddTHH:mm:ss", parts);
    case 't':
      return customFormat("HH:mm", parts);
    case 'T':
      return customFormat("HH:mm:ss", parts);
    case 'u':
      return customFormat("yyyy-MM-dd HH:mm:ss'Z'", parts);
    default:
      return customFormat(format, parts);
  }
}

struct Duration {
  std::int64_t months = 0;
  std::chrono::seconds rest{0};
};

/// "P1Y2M3DT4H5M6S", "-PT1H", "P1W".
std::optional<Duration> parseDuration(std::string_view text) {
  Reader reader(text);
  const bool negative = reader.take('-');
  if (!reader.take('P') || reader.done()) return std::nullopt;
  Duration duration;
  bool in_time = false;
  while (!reader.done()) {
    if (!in_time && reader.take('T')) {
      in_time = true;
      if (reader.done()) return std::nullopt;
    }
    const auto number = reader.number();
    if (!number) return std::nullopt;
    if (!in_time && reader.take('Y')) {
      duration.months += *number * 12;
    } else if (!in_time && reader.take('M')) {
      duration.months += *number;
    } else if (!in_time && reader.take('W')) {
      duration.rest += std::chrono::weeks(*number);
    } else if (!in_time && reader.take('D')) {
      duration.rest += std::chrono::days(*number);
    } else if (in_time && reader.take('H')) {
      duration.rest += std::chrono::hours(*number);
    } else if (in_time && reader.take('M')) {
      duration.rest += std::chrono::minutes(*number);
    } else if (in_time && reader.take('S')) {
      duration.rest += std::chrono::seconds(*number);
    } else {
      return std::nullopt;
    }
  }
  if (negative) return Duration{-duration.months, -duration.rest};
  return duration;
}

std::optional<Seconds> plus(Seconds when, const Duration& duration) {
  constexpr std::int64_t kMostMonths = 12 * 10'000;
  if (duration.months > kMostMonths || duration.months < -kMostMonths) return std::nullopt;
  const auto day = std::chrono::floor<std::chrono::days>(when);
  std::chrono::year_month_day date(day);
  date += std::chrono::months(duration.months);
  const int year = static_cast<int>(date.year());
  if (year < 1 || year > 9999) return std::nullopt;
  // The last day of a shorter month, as .NET has it.
  if (!date.ok()) date = date.year() / date.month() / std::chrono::last;
  const Seconds moved = Seconds(std::chrono::sys_days(date)) + (when - day) + duration.rest;
  const std::int64_t epoch = moved.time_since_epoch().count();
  if (epoch < kLeastEpoch || epoch > kMostEpoch) return std::nullopt;
  return moved;
}

Result<json::value> dateTimeAdd(Arguments& args, const Surroundings& /*around*/) {
  TRY(const Seconds base, dateArgument(args, 0));
  TRY(const std::string text, args.text(1));
  std::string format = kDefaultFormat;
  if (args.size() == 3) {
    TRY(format, args.text(2));
  }
  const auto duration = parseDuration(text);
  if (!duration) return fail(badCall("\"" + text + "\" is not a duration like P1DT2H"));
  const auto moved = plus(base, *duration);
  if (!moved) return fail(badCall("the date is outside the years 1 to 9999"));
  return json::value(formatted(*moved, format));
}

Result<json::value> dateTimeFromEpoch(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::int64_t epoch, args.integer(0));
  if (epoch < kLeastEpoch || epoch > kMostEpoch)
    return fail(badCall("the date is outside the years 1 to 9999"));
  return json::value(formatted(Seconds(std::chrono::seconds(epoch)), kDefaultFormat));
}

Result<json::value> dateTimeToEpoch(Arguments& args, const Surroundings& /*around*/) {
  TRY(const Seconds when, dateArgument(args, 0));
  return json::value(static_cast<std::int64_t>(when.time_since_epoch().count()));
}

/// Only where the evaluator allows it: a deployment would not be the same twice.
Result<json::value> utcNow(Arguments& args, const Surroundings& around) {
  std::string format = "yyyyMMddTHHmmssZ";
  if (args.size() == 1) {
    TRY(format, args.text(0));
  }
  return json::value(formatted(std::chrono::floor<std::chrono::seconds>(around.now), format));
}

Result<json::value> newGuid(Arguments& /*args*/, const Surroundings& around) {
  return json::value(around.new_guid());
}

constexpr std::array<FunctionEntry, 5> kFunctions{{{"dateTimeAdd", 2, 3, dateTimeAdd},
                                                   {"dateTimeFromEpoch", 1, 1, dateTimeFromEpoch},
                                                   {"dateTimeToEpoch", 1, 1, dateTimeToEpoch},
                                                   {"utcNow", 0, 1, utcNow},
                                                   {"newGuid", 0, 0, newGuid}}};

}  // namespace

std::span<const FunctionEntry> dateFunctions() { return kFunctions; }

}  // namespace berth::arm_template
