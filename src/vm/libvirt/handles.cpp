#include "vm/libvirt/handles.h"

#include <string>

#include <libvirt/virterror.h>

namespace berth::vm::libvirt {

Error lastError(std::string_view call, std::string_view object) {
  const virError* error = virGetLastError();
  const std::string words =
      error != nullptr && error->message != nullptr ? error->message : "no reason given";
  Error result{ErrorCode::Io, std::string(call) + " " + std::string(object) + ": " + words, {}, {}};
  switch (error == nullptr ? VIR_ERR_OK : static_cast<virErrorNumber>(error->code)) {
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_NETWORK:
      result.code = ErrorCode::NotFound;
      break;
    case VIR_ERR_AGENT_UNRESPONSIVE:
    case VIR_ERR_AGENT_UNSYNCED:
      result.code = ErrorCode::Unavailable;
      result.reason = "AgentUnavailable";
      break;
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_INVALID_CONN:
    case VIR_ERR_RPC:
    case VIR_ERR_SYSTEM_ERROR:
      // A system error of the RPC layer is a socket that broke; one of the daemon's is not about the
      // connection.
      if (error->code == VIR_ERR_SYSTEM_ERROR && error->domain != VIR_FROM_RPC) break;
      result.code = ErrorCode::Unavailable;
      result.reason = "ConnectionLost";
      break;
    case VIR_ERR_INTERNAL_ERROR:
      if (error->domain != VIR_FROM_RPC) break;
      result.code = ErrorCode::Unavailable;
      result.reason = "ConnectionLost";
      break;
    case VIR_ERR_OPERATION_INVALID:
      result.code = ErrorCode::Conflict;
      break;
    case VIR_ERR_XML_ERROR:
    case VIR_ERR_CONFIG_UNSUPPORTED:
      result.code = ErrorCode::InvalidArgument;
      break;
    case VIR_ERR_OPERATION_TIMEOUT:
      result.code = ErrorCode::Timeout;
      break;
    default:
      break;
  }
  return result;
}

}  // namespace berth::vm::libvirt
