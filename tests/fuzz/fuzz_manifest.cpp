// Property: whatever the text, parse() does not crash and keeps its limits; what it accepts has a name and a
// container each, and comes back from the ledger's JSON as it was.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "manifest/workload.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto manifest = berth::manifest::parse(input, "input.yaml");
  if (!manifest) {
    if (manifest.error().message.empty()) std::abort();
    return 0;
  }
  if (manifest->workloads.empty()) std::abort();
  for (const auto& workload : manifest->workloads) {
    if (workload.name.value.empty() || workload.containers.empty()) std::abort();
    const auto again = berth::manifest::fromJson(berth::manifest::toJson(workload));
    if (!again || !(*again == workload)) std::abort();
  }
  return 0;
}
