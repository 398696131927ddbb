#include <algorithm>
#include <array>
#include <cstdio>

#include <boost/json.hpp>
#include <boost/url.hpp>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "arm/template/functions.h"
#include "base/text.h"

namespace berth::arm_template {
namespace {

constexpr std::int64_t kMaxPadding = 131'072;
constexpr std::string_view kUnreserved = "-_.~";
// The namespace Azure's guid() is believed to hash under (RFC 9562, version 5).
constexpr std::array<unsigned char, 16> kGuidNamespace{0x11, 0xfb, 0x06, 0xfb, 0x71, 0x2d, 0x4d, 0xdd,
                                                       0x98, 0xc7, 0xe7, 0x1b, 0xbd, 0x58, 0x88, 0x30};

bool isAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string encode64(std::string_view text) {
  std::string encoded((text.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()), bytes(text),
                                   static_cast<int>(text.size()));
  encoded.resize(static_cast<std::size_t>(size));
  return encoded;
}

Result<std::string> decode64(std::string_view text) {
  std::string decoded(text.size() / 4 * 3 + 1, '\0');
  const int size = text.size() % 4 == 0 ? EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                                                          bytes(text), static_cast<int>(text.size()))
                                        : -1;
  if (size < 0) return fail(badCall("this is not base64"));
  const auto padding = static_cast<std::size_t>(std::ranges::count(text, '='));
  decoded.resize(static_cast<std::size_t>(size) - std::min(padding, static_cast<std::size_t>(size)));
  return decoded;
}

std::string percentEncode(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (isAlphanumeric(c) || kUnreserved.find(c) != std::string_view::npos) {
      encoded += c;
      continue;
    }
    std::array<char, 4> digits{};
    std::snprintf(digits.data(), digits.size(), "%%%02X",
                  static_cast<unsigned>(static_cast<unsigned char>(c)));
    encoded += digits.data();
  }
  return encoded;
}

std::string percentDecode(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'                     ? c - '0'
           : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                    : -1;
  };
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? digit(text[i + 1]) : -1;
    const int low = high >= 0 ? digit(text[i + 2]) : -1;
    if (low < 0) {
      decoded += text[i];
      continue;
    }
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return decoded;
}

/// The arguments' texts joined as guid() and uniqueString() hash them.
Result<std::string> joined(const Arguments& args) {
  std::vector<std::string> parts;
  for (std::size_t i = 0; i < args.size(); ++i) {
    TRY(std::string part, args.text(i));
    parts.push_back(std::move(part));
  }
  return join(parts, "-");
}

Result<json::value> base64(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  return json::value(encode64(text));
}

Result<json::value> base64ToString(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  TRY(const std::string decoded, decode64(text));
  return json::value(decoded);
}

Result<json::value> parsed(const std::string& text) { return readJson(text, "the text"); }

Result<json::value> base64ToJson(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  TRY(const std::string decoded, decode64(text));
  return parsed(decoded);
}

Result<json::value> toJson(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  return parsed(text);
}

Result<json::value> dataUri(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  return json::value("data:text/plain;charset=utf8;base64," + encode64(text));
}

Result<json::value> dataUriToString(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  const std::size_t comma = text.find(',');
  if (!text.starts_with("data:") || comma == std::string::npos)
    return fail(badCall("this is not a data URI"));
  const std::string data = percentDecode(std::string_view(text).substr(comma + 1));
  if (!std::string_view(text).substr(0, comma).ends_with(";base64")) return json::value(data);
  TRY(const std::string decoded, decode64(data));
  return json::value(decoded);
}

template <bool kEnd>
Result<json::value> beginsOrEnds(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  TRY(const std::string part, args.text(1));
  if (part.size() > text.size()) return json::value(false);
  const std::size_t from = kEnd ? text.size() - part.size() : 0;
  return json::value(equalsIgnoringCase(std::string_view(text).substr(from, part.size()), part));
}

/// A whole number by .NET's standard formats D and X, with a count of digits, or N0.
Result<std::string> formattedNumber(std::int64_t number, const std::string& spec) {
  const auto digits = spec.size() > 1 ? parseWholeNumber(spec.substr(1)) : std::optional<std::int64_t>(0);
  if (spec.empty() || !digits || *digits > 99)
    return fail(badCall("the format \"" + spec + "\" is not known"));
  const bool negative = number < 0;
  const auto magnitude =
      negative ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  std::array<char, 32> text{};
  const char kind = static_cast<char>(spec[0] | 0x20);
  if (kind == 'x') {
    const int size = std::snprintf(text.data(), text.size(), spec[0] == 'x' ? "%llx" : "%llX",
                                   static_cast<unsigned long long>(number));
    std::string hex(text.data(), static_cast<std::size_t>(size));
    if (hex.size() < static_cast<std::size_t>(*digits))
      hex.insert(0, static_cast<std::size_t>(*digits) - hex.size(), '0');
    return hex;
  }
  std::string decimal = std::to_string(magnitude);
  if (kind == 'd' || kind == 'g') {
    if (decimal.size() < static_cast<std::size_t>(*digits)) {
      decimal.insert(0, static_cast<std::size_t>(*digits) - decimal.size(), '0');
    }
  } else if (kind == 'n') {
    for (std::size_t at = decimal.size(); at > 3; at -= 3) decimal.insert(at - 3, 1, ',');
    const std::size_t fraction = spec.size() > 1 ? static_cast<std::size_t>(*digits) : 2;
    if (fraction > 0) decimal += "." + std::string(fraction, '0');
  } else {
    return fail(badCall("the format \"" + spec + "\" is not known"));
  }
  return negative ? "-" + decimal : decimal;
}

/// One hole of a format string: "0", "0,-8", "1:D3".
Result<std::string> filled(std::string_view hole, const Arguments& args) {
  const std::size_t colon = hole.find(':');
  const std::string spec(colon == std::string_view::npos ? "" : hole.substr(colon + 1));
  const std::vector<std::string> parts = split(hole.substr(0, colon), ',');
  const auto index = parseWholeNumber(trim(parts[0]));
  if (!index || static_cast<std::size_t>(*index) + 1 >= args.size() || parts.size() > 2) {
    return fail(badCall("the format's {" + std::string(hole) + "} has no argument"));
  }
  const json::value& value = args[static_cast<std::size_t>(*index) + 1];
  std::string text = asText(value);
  if (!spec.empty() && value.is_int64()) {
    TRY(text, formattedNumber(value.get_int64(), spec));
  }
  if (parts.size() == 1) return text;
  std::string_view width_text = trim(parts[1]);
  const bool left = width_text.starts_with('-');
  if (left) width_text.remove_prefix(1);
  const auto width = parseWholeNumber(width_text);
  if (!width || *width > kMaxPadding) return fail(badCall("the format's width is not a number"));
  const std::size_t length = characters(text).size();
  if (length >= static_cast<std::size_t>(*width)) return text;
  text.insert(left ? text.size() : 0, static_cast<std::size_t>(*width) - length, ' ');
  return text;
}

Result<json::value> format(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string pattern, args.text(0));
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const bool doubled = i + 1 < pattern.size() && pattern[i + 1] == c;
    if ((c == '{' || c == '}') && doubled) {
      out += c;
      ++i;
    } else if (c == '{') {
      const std::size_t end = pattern.find('}', i);
      if (end == std::string::npos) return fail(badCall("the format has a '{' without '}'"));
      TRY(const std::string text, filled(std::string_view(pattern).substr(i + 1, end - i - 1), args));
      out += text;
      i = end;
    } else if (c == '}') {
      return fail(badCall("the format has a '}' without '{'"));
    } else {
      out += c;
    }
  }
  return json::value(out);
}

Result<json::value> guid(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string name, joined(args));
  std::string data(reinterpret_cast<const char*>(kGuidNamespace.data()), kGuidNamespace.size());
  data += name;
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(bytes(data), data.size(), digest.data());
  digest[6] = static_cast<unsigned char>((digest[6] & 0x0fU) | 0x50U);
  digest[8] = static_cast<unsigned char>((digest[8] & 0x3fU) | 0x80U);
  std::string text;
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    std::array<char, 3> hex{};
    std::snprintf(hex.data(), hex.size(), "%02x", static_cast<unsigned>(digest.at(i)));
    text += hex.data();
  }
  return json::value(text);
}

/// 13 characters that follow from the arguments alone; not the ones Azure makes, whose hash is not public.
Result<json::value> uniqueString(Arguments& args, const Surroundings& /*around*/) {
  constexpr std::string_view kDigits = "abcdefghijklmnopqrstuvwxyz234567";
  constexpr std::size_t kLength = 13;
  TRY(const std::string name, joined(args));
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(bytes(name), name.size(), digest.data());
  std::string text;
  for (std::size_t i = 0; i < kLength; ++i) text += kDigits[digest.at(i) & 31U];
  return json::value(text);
}

template <bool kLast>
Result<std::int64_t> placeOf(const std::string& text, const std::string& part) {
  const std::string whole = toLower(text);
  const std::size_t at = kLast ? whole.rfind(toLower(part)) : whole.find(toLower(part));
  if (at == std::string::npos) return -1;
  return static_cast<std::int64_t>(characters(std::string_view(text).substr(0, at)).size());
}

template <bool kLast>
Result<json::value> indexOf(Arguments& args, const Surroundings& /*around*/) {
  if (const json::array* array = args[0].if_array()) {
    std::int64_t found = -1;
    for (std::size_t i = 0; i < array->size() && (kLast || found < 0); ++i) {
      if (same((*array)[i], args[1])) found = static_cast<std::int64_t>(i);
    }
    return json::value(found);
  }
  TRY(const std::string text, args.text(0));
  TRY(const std::string part, args.text(1));
  TRY(const std::int64_t place, placeOf<kLast>(text, part));
  return json::value(place);
}

Result<json::value> joinTexts(Arguments& args, const Surroundings& /*around*/) {
  TRY(const json::array array, args.array(0));
  TRY(const std::string separator, args.text(1));
  std::string text;
  for (std::size_t i = 0; i < array.size(); ++i) {
    if (i > 0) text += separator;  // Around empty elements too.
    text += asText(array[i]);
  }
  return json::value(text);
}

Result<json::value> padLeft(Arguments& args, const Surroundings& /*around*/) {
  if (!args[0].is_string() && !args[0].is_int64()) return fail(args.wrong(0, "a string or an integer"));
  const std::string text = asText(args[0]);
  TRY(const std::int64_t length, args.integer(1));
  std::string pad = " ";
  if (args.size() == 3) {
    TRY(pad, args.text(2));
  }
  if (characters(pad).size() != 1) return fail(badCall("argument 3 must be one character"));
  if (length < 0 || length > kMaxPadding)
    return fail(badCall("argument 2 must be from 0 to " + std::to_string(kMaxPadding)));
  const std::size_t has = characters(text).size();
  std::string padded;
  for (std::size_t i = has; i < static_cast<std::size_t>(length); ++i) padded += pad;
  return json::value(padded + text);
}

Result<json::value> replace(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  TRY(const std::string old, args.text(1));
  TRY(const std::string fresh, args.text(2));
  if (old.empty()) return fail(badCall("argument 2 must not be empty"));
  std::string out;
  std::size_t from = 0;
  for (std::size_t at = text.find(old); at != std::string::npos; at = text.find(old, from)) {
    out.append(text, from, at - from).append(fresh);
    from = at + old.size();
  }
  return json::value(out.append(text, from));
}

Result<json::value> splitText(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  std::vector<std::string> separators;
  if (const json::array* several = args[1].if_array()) {
    for (const json::value& each : *several) separators.push_back(asText(each));
  } else {
    TRY(std::string one, args.text(1));
    separators.push_back(std::move(one));
  }
  std::erase(separators, std::string());
  json::array parts;
  std::size_t from = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto hit = std::ranges::find_if(
        separators, [&](const std::string& s) { return text.compare(i, s.size(), s) == 0; });
    if (hit == separators.end()) {
      ++i;
      continue;
    }
    parts.emplace_back(text.substr(from, i - from));
    i += hit->size();
    from = i;
  }
  parts.emplace_back(text.substr(from));
  return json::value(std::move(parts));
}

Result<json::value> toText(Arguments& args, const Surroundings& /*around*/) {
  return json::value(asText(args[0]));
}

Result<json::value> substring(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  TRY(const std::int64_t start, args.integer(1));
  const std::vector<std::string_view> all = characters(text);
  const auto size = static_cast<std::int64_t>(all.size());
  if (start < 0 || start > size)
    return fail(badCall("argument 2 must be from 0 to the string's length, " + std::to_string(size)));
  std::int64_t length = size - start;
  if (args.size() == 3) {
    TRY(length, args.integer(2));
  }
  if (length < 0 || length > size - start) return fail(badCall("argument 3 reaches past the string's end"));
  std::string out;
  for (std::int64_t i = start; i < start + length; ++i) out += all[static_cast<std::size_t>(i)];
  return json::value(out);
}

Result<json::value> lowerText(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  return json::value(toLower(text));
}

Result<json::value> upperText(Arguments& args, const Surroundings& /*around*/) {
  TRY(std::string text, args.text(0));
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return json::value(text);
}

Result<json::value> trimText(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  return json::value(std::string(trim(text)));
}

Result<json::value> uri(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string base, args.text(0));
  TRY(const std::string relative, args.text(1));
  const auto base_url = boost::urls::parse_uri({base.data(), base.size()});
  const auto reference = boost::urls::parse_uri_reference({relative.data(), relative.size()});
  if (!base_url) return fail(badCall("argument 1 is not a URI"));
  if (!reference) return fail(badCall("argument 2 is not a URI or relative path"));
  boost::urls::url resolved;
  if (!boost::urls::resolve(*base_url, *reference, resolved))
    return fail(badCall("the URIs do not fit together"));
  return json::value(std::string(resolved.buffer()));
}

Result<json::value> uriComponent(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  return json::value(percentEncode(text));
}

Result<json::value> uriComponentToString(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string text, args.text(0));
  return json::value(percentDecode(text));
}

constexpr std::array<FunctionEntry, 25> kFunctions{{{"base64", 1, 1, base64},
                                                    {"base64ToJson", 1, 1, base64ToJson},
                                                    {"base64ToString", 1, 1, base64ToString},
                                                    {"dataUri", 1, 1, dataUri},
                                                    {"dataUriToString", 1, 1, dataUriToString},
                                                    {"endsWith", 2, 2, beginsOrEnds<true>},
                                                    {"format", 1, kAnyNumber, format},
                                                    {"guid", 1, kAnyNumber, guid},
                                                    {"indexOf", 2, 2, indexOf<false>},
                                                    {"join", 2, 2, joinTexts},
                                                    {"json", 1, 1, toJson},
                                                    {"lastIndexOf", 2, 2, indexOf<true>},
                                                    {"padLeft", 2, 3, padLeft},
                                                    {"replace", 3, 3, replace},
                                                    {"split", 2, 2, splitText},
                                                    {"startsWith", 2, 2, beginsOrEnds<false>},
                                                    {"string", 1, 1, toText},
                                                    {"substring", 2, 3, substring},
                                                    {"toLower", 1, 1, lowerText},
                                                    {"toUpper", 1, 1, upperText},
                                                    {"trim", 1, 1, trimText},
                                                    {"uniqueString", 1, kAnyNumber, uniqueString},
                                                    {"uri", 2, 2, uri},
                                                    {"uriComponent", 1, 1, uriComponent},
                                                    {"uriComponentToString", 1, 1, uriComponentToString}}};

}  // namespace

std::span<const FunctionEntry> textFunctions() { return kFunctions; }

}  // namespace berth::arm_template
