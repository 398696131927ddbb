// The requests of the verbs of virtual machines, images and sizes.
#pragma once

#include <istream>
#include <optional>

#include "base/error.h"
#include "cli/arguments.h"
#include "http/client.h"

namespace berth::cli {

/// nullopt: another verb.
std::optional<http::Request> vmRequestFor(const Arguments& args);

/// Puts the contents of the named files into `vm`: a password without its line end, keys one for each line,
/// settings as they are. Errors as readInputFiles(), and InvalidArgument: the settings are no JSON object.
Result<void> readVmFiles(VmArguments& vm, std::istream& in);

}  // namespace berth::cli
