// Property: whatever stands between the brackets, reading and evaluating it does not crash; what is read
// comes back from its own text the same; evaluating ends within its budget, with a value or with a column.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "arm/template/testing/workbench.h"

namespace {

namespace arm = berth::arm_template;

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = "[" + std::string(reinterpret_cast<const char*>(data), size) + "]";
  const auto expression = arm::parseExpression(text);
  if (!expression) {
    require(expression.error().message.starts_with("column "));
    return 0;
  }
  const auto again = arm::parseExpression(arm::toText(*expression));
  // The text may be longer than what was read, by the blanks it puts after commas.
  if (again) require(arm::toText(*again) == arm::toText(*expression));
  const auto value = arm::testing::evaluated(text);
  if (!value) require(value.error().message.find("column ") != std::string::npos);
  return 0;
}
