// Property: whatever text a program hands over as PTX, reading it does not crash, and what is accepted keeps
// to the limits that make it harmless: parameters lie one behind the other, within the buffer that a launch
// packs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cuda/ptx.h"

namespace {

using namespace berth::sim::cu;  // NOLINT(google-build-using-namespace): a program, not a header

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const PtxKernel& kernel) {
  require(!kernel.name.empty() && kernel.parameters.size() <= kMaxKernelParameters);
  const std::size_t packed = parameterBytes(kernel);
  std::size_t end = 0;
  for (const PtxParameter& parameter : kernel.parameters) {
    require(parameter.offset >= end && parameter.bytes <= kMaxParameterBytes);
    end = parameter.offset + parameter.bytes;
  }
  require(packed == end && packed <= kMaxParameterBytes);
  require(kernel.cost.nanoseconds.value_or(0) >= 0 && kernel.cost.max_sms.value_or(0) >= 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto module = parsePtx(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!module) return 0;
  require(module->version > 0 && module->target > 0);
  for (const PtxKernel& kernel : module->kernels) check(kernel);
  for (const PtxVariable& variable : module->variables) {
    require(!variable.name.empty() && variable.bytes <= kMaxVariableBytes);
  }
  return 0;
}
