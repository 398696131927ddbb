#include "base/error.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

namespace berth {
namespace {

constexpr std::array<std::string_view, kErrorCodes> kNames{
    "InvalidArgument", "NotFound", "Conflict", "Refused", "Denied",
    "Unavailable",     "Timeout",  "Corrupt",  "Io",      "Internal"};

ErrorCode codeOf(int error_number) {
  switch (error_number) {
    case ENOENT:
      return ErrorCode::NotFound;
    case EACCES:
    case EPERM:
      return ErrorCode::Denied;
    default:
      return ErrorCode::Io;
  }
}

}  // namespace

std::string_view name(ErrorCode code) { return kNames.at(static_cast<std::size_t>(code)); }

ErrorCode errorCodeFromName(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames.at(i) == name) return static_cast<ErrorCode>(i);
  }
  return ErrorCode::Internal;
}

Error errnoError(int error_number, std::string_view call, std::string_view object) {
  std::string message(call);
  if (!object.empty()) message.append(" ").append(object);
  message.append(": ").append(std::generic_category().message(error_number));
  return Error{codeOf(error_number), std::move(message), {}, {}};
}

}  // namespace berth
