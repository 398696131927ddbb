// Property: whatever the catalogue holds, every driver read from it has a category and a known method, and
// choosing one never goes wrong.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vm/extension/catalog.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth::vm::extension;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto catalog = parseCatalog(bytes, "c");
  if (!catalog) {
    if (catalog.error().message.empty()) std::abort();
    return 0;
  }
  for (const CatalogDriver& driver : catalog->drivers) {
    if (driver.install_method < 0 || driver.install_method > 2) std::abort();
  }
  for (const OsInfo& os : {OsInfo{"ubuntu", "22.04", "Ubuntu 22.04", ""}, OsInfo{"rhel", "7.9", "RHEL", ""},
                           OsInfo{"mswindows", "10", "Windows 10", "client"}}) {
    const CatalogDriver* const driver = choose(*catalog, {os, "Tesla T4", "CUDA", ""});
    if (driver != nullptr && !matchesAny(driver->systems, os)) std::abort();
  }
  return 0;
}
