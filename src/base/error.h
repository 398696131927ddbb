// How every fallible call in this project says that it failed.
//
// A failure is a code a caller can act on, a sentence a person can read and, for a refusal (rule B17), the
// stable reason and one detail for each GPU or place in the input that was considered. api/error_mapping
// turns codes into HTTP statuses and CLI exit statuses; a new code is a new row there and nothing else.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

namespace berth {

enum class ErrorCode : std::uint8_t {
  InvalidArgument,  // Can never succeed as asked.
  NotFound,         // No such GPU, workload, operation.
  Conflict,         // Well formed, but the current state forbids it (a name taken, a GPU on the move).
  Refused,          // Well formed, and a rule (A1 to B18) says no; `reason` and `details` say why.
  Denied,           // The caller may not do this.
  Unavailable,      // NVML, libvirt, the engine or the daemon is not answering.
  Timeout,          // The deadline passed first; the outcome may be unknown.
  Corrupt,          // Stored state fails its checksum or its invariants.
  Io,               // The kernel refused a read or a write.
  Internal,         // A bug of ours, stopped at the top of a thread or handler.
};
inline constexpr int kErrorCodes = 10;

/// The code's name as the API and logs spell it: "InvalidArgument".
std::string_view name(ErrorCode code);
/// The code of that name, Internal for an unknown one.
ErrorCode errorCodeFromName(std::string_view name);

/// One thing that was considered: `target` is a GPU ("GPU 0") or a place in the input
/// ("pods.yaml:12 spec.containers[0].env"), `message` what is wrong with it, `remedy` what would help.
struct ErrorDetail {
  std::string target;
  std::string message;
  std::string remedy;
  bool operator==(const ErrorDetail&) const = default;
};

struct Error {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
  std::string reason{};  // Stable, for programs: "InsufficientGpu". Empty: the code says all there is.
  std::vector<ErrorDetail> details{};
  bool operator==(const Error&) const = default;
};

/// A T, or the Error that explains why there is none. Dropping one on the floor does not compile.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;

  /// Puts what the caller was doing in front of a failure's message.
  Result during(std::string_view action) && {
    if (!this->has_value()) this->error().message.insert(0, std::string(action) + ": ");
    return std::move(*this);
  }
};

/// The way to return a failure; nothing outside this header names tl::.
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }
inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return fail(Error{code, std::move(message), {}, {}});
}

/// The Error for an errno left by `call` on `object`: "open /var/lib/x: No such file or directory".
/// ENOENT is NotFound, EACCES and EPERM are Denied, everything else is Io.
Error errnoError(int error_number, std::string_view call, std::string_view object);

}  // namespace berth

#define BERTH_JOIN_(a, b) a##b
#define BERTH_JOIN(a, b) BERTH_JOIN_(a, b)
#define BERTH_TRY_(tmp, lhs, expr)                        \
  auto tmp = (expr);                                      \
  if (!tmp) return ::berth::fail(std::move(tmp).error()); \
  lhs = *std::move(tmp)

/// TRY(const auto gpus, driver.listGpus()): take the value or return the error. It
/// declares a variable, so it stands on its own line inside braces.
#define TRY(lhs, expr) BERTH_TRY_(BERTH_JOIN(try_result_, __COUNTER__), lhs, expr)

/// TRY_VOID(ledger.append(entry)): go on, or return the error.
#define TRY_VOID(expr)                                                                              \
  do {                                                                                              \
    if (auto try_result = (expr); !try_result) return ::berth::fail(std::move(try_result).error()); \
  } while (false)
