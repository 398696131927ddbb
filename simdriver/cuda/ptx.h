// Reads PTX text as far as the simulated driver needs it: which kernels and global variables a module has,
// how large their parameters are, and what a launch should cost (docs/formats/simdriver-kernels.md). It
// checks no instruction; `ptxas` does that on a real machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace berth::sim::cu {

/// Limits that keep hostile text harmless.
inline constexpr std::size_t kMaxPtxBytes = std::size_t{64} << 20;
inline constexpr std::size_t kMaxKernelParameters = 4096;
inline constexpr std::size_t kMaxParameterBytes = 32764;
inline constexpr std::size_t kMaxVariableBytes = std::size_t{1} << 32;

/// What `// berth-cost:` comments say of a kernel.
struct CostHint {
  std::optional<double> nanoseconds;       // Duration of one launch on the idle GPU
  std::optional<double> flop_per_thread;   // Against Profile::gflops_fp32
  std::optional<double> bytes_per_thread;  // Against the memory's bandwidth
  std::optional<double> max_sms;           // SMs that a launch can fill at most
};

struct PtxParameter {
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

struct PtxKernel {
  std::string name;
  std::vector<PtxParameter> parameters;
  CostHint cost;
  std::size_t shared_bytes = 0;  // Static shared memory
  unsigned max_threads = 0;      // .maxntid, 0 when the text has none
};

struct PtxVariable {
  std::string name;
  std::size_t bytes = 0;
};

struct PtxModule {
  int version = 0;  // .version 6.0 is 60
  int target = 0;   // .target sm_50 is 50
  std::vector<PtxKernel> kernels;
  std::vector<PtxVariable> variables;
};

/// Nothing when the text is not PTX (no .version and .target), a declaration is malformed or a limit is
/// passed.
std::optional<PtxModule> parsePtx(std::string_view text);

/// Bytes that a kernel's packed parameter buffer needs.
std::size_t parameterBytes(const PtxKernel& kernel);

}  // namespace berth::sim::cu
