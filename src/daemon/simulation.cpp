#include "daemon/simulation.h"

#include "base/text.h"

namespace berth::daemon {
namespace {

constexpr std::chrono::seconds kToolLimit{10};
constexpr int kUsageStatus = 2;

}  // namespace

Result<std::string> SimulatedDriver::run(std::vector<std::string> arguments) {
  if (tool_.empty()) {
    return fail(ErrorCode::Unavailable,
                "the GPUs are real: nothing is simulated here (berthd --simulate t4:2)");
  }
  os::ProcessSpec spec;
  spec.argv = {tool_.string()};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  TRY(const os::ProcessResult result, runner_.run(spec, std::chrono::steady_clock::now() + kToolLimit));
  if (result.status.success()) return result.output;
  const ErrorCode code =
      result.status.code == kUsageStatus ? ErrorCode::InvalidArgument : ErrorCode::Unavailable;
  return fail(code, std::string(trim(result.errors.empty() ? result.output : result.errors)));
}

Result<void> SimulatedDriver::create(const std::string& spec) {
  TRY_VOID(run({"create", dir_.string(), spec}));
  return {};
}

Result<void> SimulatedDriver::bind(const ledger::Gpu& gpu, const std::string& driver) {
  auto bound = run({"bind", dir_.string(), gpu.uuid.value, driver});
  if (bound) return {};
  Error error = bound.error();
  if (!tool_.empty() && error.code == ErrorCode::Unavailable) error.code = ErrorCode::Conflict;
  return fail(std::move(error));
}

Result<std::string> SimulatedDriver::status() { return run({"status", dir_.string(), "--json"}); }

Result<void> SimulatedDriver::inject(const ledger::Gpu& gpu, const std::string& fault,
                                     const std::optional<std::int64_t>& value) {
  // The tool names the state, the API what to do.
  const std::string state = fault == "recover" ? "recovered" : fault;
  std::vector<std::string> arguments{"fault", dir_.string(), gpu.uuid.value, state};
  if (value) arguments.push_back(std::to_string(*value));
  TRY_VOID(run(std::move(arguments)));
  changed_();
  return {};
}

}  // namespace berth::daemon
