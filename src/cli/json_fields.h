// Reading the daemon's JSON without trusting its shape: what is missing or of another type reads as empty.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

namespace berth::cli {

/// The value at a dotted path, "owner.kind"; null when there is none.
const boost::json::value& at(const boost::json::value& from, std::string_view path);
/// The elements at `path`, none when that is no array.
const boost::json::array& list(const boost::json::value& from, std::string_view path);
/// A string as it is, a number or boolean as JSON writes it, else "".
std::string text(const boost::json::value& from, std::string_view path);
std::optional<std::int64_t> number(const boost::json::value& from, std::string_view path);
bool flag(const boost::json::value& from, std::string_view path);
/// `text` with control characters replaced, so that nothing the daemon passes on can drive the terminal.
std::string printable(std::string_view text);

}  // namespace berth::cli
