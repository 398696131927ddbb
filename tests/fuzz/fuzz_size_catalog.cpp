// Property: a catalogue of sizes that is accepted keeps to the limits of design 6, and what of it would be
// stored is read back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vm/size_catalog.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth::vm;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto catalog = SizeCatalog::parse(text, "sizes.json");
  if (!catalog) {
    require(catalog.error().message.find("sizes.json") != std::string::npos);
    return 0;
  }
  for (const VmSize& each : catalog->all()) {
    require(each.vcpus >= 1 && each.vcpus <= kMaxSizeVcpus && each.gpus >= 0 && each.gpus <= kMaxSizeGpus);
    require(catalog->find(each.name) != nullptr);
  }
  SizeCatalog none;
  static_cast<void>(none.addStored(text, "stored"));
  SizeCatalog again = *catalog;
  require(again.addStored(catalog->storedText(), "stored").has_value());
  require(again.storedText() == catalog->storedText());
  return 0;
}
