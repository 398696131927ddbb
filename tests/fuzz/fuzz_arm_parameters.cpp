// Property: whatever a parameter file holds, reading it does not crash, and what is bound to a template fits
// its definitions.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <boost/json.hpp>

#include "arm/template/testing/workbench.h"

namespace {

namespace arm = berth::arm_template;

const arm::Template& declared() {
  static const auto kDeclared = *arm::Template::parse(*arm::readJson(
      arm::testing::withSchema(
          R"("resources": [], "parameters": {"s": {"type": "string", "defaultValue": "", "maxLength": 4},
             "i": {"type": "int", "defaultValue": 1, "minValue": 0, "maxValue": 9},
             "e": {"type": "string", "defaultValue": "a", "allowedValues": ["a", "b"]},
             "o": {"type": "object", "defaultValue": {}}, "n": {"type": "array", "nullable": true}})"),
      "t.json"));
  return *kDeclared;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto given = arm::readParameterFile(text, "p.json");
  if (!given) return 0;
  const auto bound = arm::bindParameters(declared(), *given);
  if (!bound) return 0;
  for (const auto& each : *bound) {
    const arm::ParameterDefinition* definition = declared().parameter(each.key());
    if (definition == nullptr || !arm::parameterProblem(*definition, each.value()).empty()) std::abort();
  }
  return 0;
}
