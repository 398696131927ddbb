// Whole files and folders: read with a limit, replaced so that a crash leaves the old or the new content and
// nothing between, made and removed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/error.h"

namespace berth::os {

/// The content of a file of at most `limit` bytes; files of /proc and /sys included, whose size is not known
/// before. NotFound, Denied or Io from the kernel; InvalidArgument: it holds more than `limit` bytes, or is a
/// folder. May block on the disk.
Result<std::string> readFile(const std::filesystem::path& path, std::size_t limit);

/// Replaces `path` by a file that holds `content`: a temporary in the same folder, fsync, rename, fsync of
/// the folder. After a crash at any point `path` is what it was or what it should be. On failure the
/// temporary is removed and `path` is untouched.
Result<void> writeFileAtomically(const std::filesystem::path& path, std::string_view content, mode_t mode);

/// Makes `path` and its missing parents a folder of exactly this mode (the umask does not count; parents get
/// 0755). Conflict: something else than a folder is there. A folder that is there keeps its owner and gets
/// the mode.
Result<void> ensureDirectory(const std::filesystem::path& path, mode_t mode);

/// Removes a file, or a folder with all it holds, following no links. Succeeds when there is none.
Result<void> removeTree(const std::filesystem::path& path);

}  // namespace berth::os
