#include "http/exchange.h"

#include <array>

#include "base/text.h"

namespace berth::http {

std::string_view name(Role role) {
  constexpr std::array<std::string_view, 4> kNames{"anyone", "reader", "operator", "owner"};
  return kNames.at(static_cast<std::size_t>(role));
}

std::string_view ServerRequest::queryValue(std::string_view key) const {
  const auto found = query.find(std::string(key));
  return found == query.end() ? std::string_view() : std::string_view(found->second);
}

Result<bool> ServerRequest::queryFlag(std::string_view key) const {
  const std::string_view value = queryValue(key);
  if (value == "true") return true;
  if (value.empty() || value == "false") return false;
  return fail(ErrorCode::InvalidArgument, std::string(key) + " must be true or false");
}

Result<std::int64_t> ServerRequest::queryNumber(std::string_view key, std::int64_t fallback,
                                                std::int64_t max) const {
  const std::string_view value = queryValue(key);
  if (value.empty()) return fallback;
  const auto number = parseWholeNumber(value);
  if (number && *number <= max) return *number;
  return fail(ErrorCode::InvalidArgument,
              std::string(key) + " must be a whole number up to " + std::to_string(max));
}

std::string serverSentEvent(std::string_view id, std::string_view event, std::string_view data) {
  std::string text;
  if (!id.empty()) text.append("id: ").append(id).append("\n");
  if (!event.empty()) text.append("event: ").append(event).append("\n");
  for (const std::string& line : split(data, '\n')) text.append("data: ").append(line).append("\n");
  return text.append("\n");
}

}  // namespace berth::http
