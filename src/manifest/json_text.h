// JSON text to a Node, by Boost.JSON: the adapter, and the only file of the readers that knows the library.
#pragma once

#include <string_view>

#include "base/error.h"
#include "manifest/node.h"
#include "manifest/workload.h"

namespace berth::manifest {

/// Whether positions of the nodes are lines of a file, or unknown since the JSON was a string inside one.
enum class JsonLines { Known, Unknown };

/// One JSON value (RFC 8259, nothing after it) within the limits of limits.h. `at` is where the text stands:
/// its file, and the path that error paths begin with. Errors: InvalidArgument naming line and column in
/// `text`.
Result<Node> parseJson(std::string_view text, const Place& at, JsonLines lines);

}  // namespace berth::manifest
