// From what was asked to the one request that does it (the routes of /api/v1, docs/api.md). Pure.
#pragma once

#include <string>
#include <string_view>

#include "cli/arguments.h"
#include "http/client.h"

namespace berth::cli {

/// A manifest as it was read: the name is for messages and has no folder in it.
struct InputFile {
  std::string name;
  std::string text;
};

/// True for a verb that changes something and answers with an operation.
bool isChange(Verb verb);

/// The request of any verb that is one request; `file` is the manifest of Apply and
/// Delete, or the one that holds a secret.
http::Request requestFor(const Arguments& args, const InputFile& file = {});

/// The followed stream of events from after number `since`.
http::Request eventStreamRequest(std::int64_t since);

/// An operation, answered at once or when it changed within `wait_seconds`.
http::Request operationRequest(std::string_view id, std::int64_t wait_seconds);

}  // namespace berth::cli
