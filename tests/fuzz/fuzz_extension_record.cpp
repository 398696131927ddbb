// Property: a record that is read is written the same way again, and settings that are taken hold no URL of
// another kind than http.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vm/extension/request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth::vm::extension;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto record = recordFromJson(bytes)) {
    const auto again = recordFromJson(toJson(*record));
    if (!again || *again != *record) std::abort();
  }
  if (const auto settings = parseSettings(bytes)) {
    if (!settings->driver_url.empty() && !settings->driver_url.starts_with("http")) std::abort();
  }
  return 0;
}
