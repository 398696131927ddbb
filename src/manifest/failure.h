// The two ways a manifest fails, each naming its place.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "manifest/workload.h"

namespace berth::manifest {

/// InvalidArgument: "pods.yaml:12:9 spec.replicas: must be a number". `reason` may be empty.
tl::unexpected<Error> invalid(const Place& place, const std::string& cause, std::string_view reason = {});

/// Refused, by a rule, with its stable reason and what would help.
tl::unexpected<Error> refused(const Place& place, std::string_view reason, const std::string& cause,
                              const std::string& remedy);

/// `text` in quotes, cut after 64 bytes, for messages.
std::string quoted(std::string_view text);

}  // namespace berth::manifest
