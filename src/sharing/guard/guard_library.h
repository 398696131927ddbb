// The guard's library as it lies beside the daemon, and the file that makes the loader of a container load
// it.
#pragma once

#include <filesystem>
#include <optional>

namespace berth::sharing {

/// `configured`, or without one the library of this layout where the program at `program` was installed
/// (../lib/berth) or built (../guard). nullopt: there is none, so nothing can be limited by it.
std::optional<std::filesystem::path> findGuardLibrary(const std::filesystem::path& configured,
                                                      const std::filesystem::path& program);

}  // namespace berth::sharing
