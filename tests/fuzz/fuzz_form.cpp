// Property: whatever a client posts for a token, reading it does not crash, no more fields come out than are
// allowed, and none is longer than what came in.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "auth/endpoints.h"
#include "auth/form.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto form = berth::auth::parseForm(text);
  if (form) {
    if (form->size() > berth::auth::kMaxFormFields) std::abort();
    for (const auto& [key, value] : *form) {
      if (key.size() + value.size() > size) std::abort();
    }
  }
  // The same bytes as a Host header: what discovery tells has no room for anything but a host.
  const auto endpoints = berth::auth::endpointsFor(text, "box");
  for (const char c : endpoints.login) {
    if (c <= ' ' || c == '"' || c == '\\' || c == '@' || c == '?') std::abort();
  }
  return 0;
}
