// Property: whatever a module's text is, what is read from it is in bounds: parameters one behind the other,
// sizes within the limits, hints that are numbers, and a launch that costs a finite time.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cuda/cost.h"
#include "cuda/ptx.h"
#include "tests/fake_engine.h"

namespace {

using namespace berth::sim::cu;  // NOLINT(google-build-using-namespace): a program, not a header

void require(bool holds) {
  if (!holds) std::abort();
}

void checkParameters(const PtxKernel& kernel) {
  std::size_t end = 0;
  for (const PtxParameter& parameter : kernel.parameters) {
    require(parameter.offset >= end);
    end = parameter.offset + parameter.bytes;
  }
  require(end <= kMaxParameterBytes && parameterBytes(kernel) == end);
  require(kernel.parameters.size() <= kMaxKernelParameters);
}

void checkCost(const PtxKernel& kernel) {
  static const berth::sim::Profile profile = berth::sim::testing::smallGpu().profile;
  const berth::sim::Work work = kernelWork(profile, kernel.cost, {7, 1, 1}, {32, 1, 1});
  require(std::isfinite(work.max_sms) && work.max_sms > 0 && work.max_sms <= profile.sm_count);
  require(!std::isnan(work.sm_ns) && work.sm_ns >= 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto module = parsePtx({reinterpret_cast<const char*>(data), size});
  if (!module) return 0;
  require(module->version > 0 && module->target > 0);
  for (const PtxKernel& kernel : module->kernels) {
    require(!kernel.name.empty() && kernel.max_threads <= 1024);
    checkParameters(kernel);
    checkCost(kernel);
  }
  for (const PtxVariable& variable : module->variables) require(variable.bytes <= kMaxVariableBytes);
  return 0;
}
