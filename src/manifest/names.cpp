#include "manifest/names.h"

#include <algorithm>
#include <cstddef>

#include "base/text.h"

namespace berth::manifest {
namespace {

constexpr std::size_t kMaxLabel = 63;

bool isLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool isAlnum(char c) { return isLetter(c) || (c >= '0' && c <= '9'); }

bool isNamePart(std::string_view text) {
  if (text.empty() || text.size() > kMaxLabel || !isAlnum(text.front()) || !isAlnum(text.back()))
    return false;
  return std::ranges::all_of(text, [](char c) { return isAlnum(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

bool isDnsLabel(std::string_view text) { return isDnsName(text) && text.find('.') == std::string_view::npos; }

bool isQualifiedName(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return isNamePart(text);
  return isDnsName(text.substr(0, slash)) && isNamePart(text.substr(slash + 1));
}

bool isLabelValue(std::string_view text) { return text.empty() || isNamePart(text); }

bool isEnvironmentName(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~' && c != '='; });
}

std::optional<std::string> moduleDnsName(std::string_view module_id) {
  const std::string lower = toLower(module_id);
  const auto begin = std::ranges::find_if(lower, isLetter);
  auto end = lower.end();
  while (end != begin && !isAlnum(*(end - 1))) --end;
  std::string name;
  std::copy_if(begin, end, std::back_inserter(name), [](char c) { return isAlnum(c) || c == '-'; });
  if (name.empty() || name.size() > kMaxLabel) return std::nullopt;
  return name;
}

}  // namespace berth::manifest
