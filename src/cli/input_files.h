// The manifests named on the command line.
#pragma once

#include <istream>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/requests.h"

namespace berth::cli {

/// All of `paths`, or the first one's error: nothing is sent when one of several cannot be read. "-" is `in`,
/// and is called "stdin". InvalidArgument: larger than kMaxInputBytes, or "-" named twice. May block.
Result<std::vector<InputFile>> readInputFiles(const std::vector<std::string>& paths, std::istream& in);

}  // namespace berth::cli
