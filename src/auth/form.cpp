#include "auth/form.h"

#include <charconv>

#include "base/text.h"

namespace berth::auth {
namespace {

Result<std::string> decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    unsigned value = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || error != std::errc{} || end != digits.data() + 2) {
      return fail(ErrorCode::InvalidArgument, "a percent sign without two hex digits");
    }
    decoded += static_cast<char>(value);
    i += 2;
  }
  return decoded;
}

}  // namespace

Result<std::map<std::string, std::string>> parseForm(std::string_view body) {
  std::map<std::string, std::string> fields;
  for (const std::string& field : split(body, '&')) {
    if (field.empty()) continue;
    const std::size_t equals = field.find('=');
    const std::string_view text = field;
    TRY(const std::string key, decode(text.substr(0, equals)));
    TRY(std::string value,
        decode(equals == std::string::npos ? std::string_view() : text.substr(equals + 1)));
    if (!fields.emplace(key, std::move(value)).second) {
      return fail(ErrorCode::InvalidArgument, "the field " + key + " stands there twice");
    }
    if (fields.size() > kMaxFormFields) return fail(ErrorCode::InvalidArgument, "too many fields");
  }
  return fields;
}

}  // namespace berth::auth
