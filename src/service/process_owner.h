// Whose container a process is in.
#pragma once

#include <cstdint>
#include <string>

#include "os/procfs.h"
#include "service/desk.h"

namespace berth::service {

/// The name of the container that `pid` runs in, by the engine's id in the path of its control group; empty:
/// none that the book knows, or the process is gone. Reads /proc.
std::string containerOfProcess(const Book& book, const os::Procfs& procfs, std::int64_t pid);

}  // namespace berth::service
