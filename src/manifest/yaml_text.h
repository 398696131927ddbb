// YAML text to Nodes, by yaml-cpp: the adapter, and the only file that knows the library.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "manifest/node.h"

namespace berth::manifest {

struct Document {
  std::string path;  // "documents[1]" for the second document of a file, empty for the first.
  Node root;
};

/// The documents of a YAML 1.2 text, those without content left out, within the limits of limits.h. `text` is
/// valid UTF-8 without a byte-order mark. Plain scalars have the types Kubernetes' own reader gives them
/// (`yes` and `on` are booleans). Errors: InvalidArgument naming line, column and, for a doubled key, the
/// key.
Result<std::vector<Document>> parseYaml(std::string_view text, std::string_view file);

}  // namespace berth::manifest
