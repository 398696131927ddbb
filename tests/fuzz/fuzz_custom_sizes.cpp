// Property: what is read prints to text that reads as the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "vm/custom_sizes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace berth::vm;
  const auto sizes = parseCustomSizes(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!sizes) return 0;
  for (const auto style : {CustomSizesStyle::Appliance, CustomSizesStyle::Json}) {
    const auto again = parseCustomSizes(printCustomSizes(*sizes, style));
    if (!again || *again != *sizes) std::abort();
  }
  return 0;
}
