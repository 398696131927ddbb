#include "base/utf8.h"

#include <boost/nowide/utf/utf.hpp>

namespace berth {
namespace {

/// The bytes of the character that `text` begins with; 0: none does.
std::size_t leadingCharacter(std::string_view text) {
  namespace utf = boost::nowide::utf;
  const char* at = text.data();
  const utf::code_point c = utf::utf_traits<char>::decode(at, text.data() + text.size());
  if (c == utf::illegal || c == utf::incomplete) return 0;
  return static_cast<std::size_t>(at - text.data());
}

}  // namespace

bool isUtf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t bytes = leadingCharacter(text);
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string asUtf8(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    const std::size_t bytes = leadingCharacter(text);
    clean += bytes == 0 ? "?" : text.substr(0, bytes);
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return clean;
}

}  // namespace berth
