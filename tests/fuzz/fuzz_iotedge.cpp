// Property: whatever stands in a module's createOptions, as a string or as a map, and whatever the stored
// JSON of a workload holds, nothing crashes, and a module that is accepted comes back from its JSON as it
// was.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "manifest/workload.h"

namespace {

constexpr std::string_view kHead =
    R"({"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1", "modules": {"m": {"type": "docker",)"
    R"( "settings": {"image": "i", "createOptions": )";
constexpr std::string_view kTail = "}}}}}}";

std::string asJsonString(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n') {
      quoted += "\\n";
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

void check(const std::string& text) {
  const auto manifest = berth::manifest::parse(text, "modules.json");
  if (!manifest) return;
  for (const auto& workload : manifest->workloads) {
    const auto again = berth::manifest::fromJson(berth::manifest::toJson(workload));
    if (!again || !(*again == workload)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check(std::string(kHead) + asJsonString(input) + std::string(kTail));
  check(std::string(kHead) + std::string(input) + std::string(kTail));
  if (const auto stored = berth::manifest::fromJson(input)) {
    const auto again = berth::manifest::fromJson(berth::manifest::toJson(*stored));
    if (!again || !(*again == *stored)) std::abort();
  }
  return 0;
}
