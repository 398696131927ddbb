// Owners for libvirt's handles, and its errors turned into ours.
#pragma once

#include <memory>
#include <string_view>

#include <libvirt/libvirt.h>

#include "base/error.h"

namespace berth::vm::libvirt {

template <auto Free>
struct Releaser {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};

using DomainHandle = std::unique_ptr<virDomain, Releaser<&virDomainFree>>;
using NetworkHandle = std::unique_ptr<virNetwork, Releaser<&virNetworkFree>>;

/// The Error for this thread's last libvirt error, of `call` on `object`. No such domain or network is
/// NotFound; an agent that does not answer Unavailable with reason AgentUnavailable; a broken connection
/// Unavailable with reason ConnectionLost; an operation that the state forbids Conflict; everything else Io.
Error lastError(std::string_view call, std::string_view object);

}  // namespace berth::vm::libvirt
