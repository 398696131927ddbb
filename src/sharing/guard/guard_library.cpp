#include "sharing/guard/guard_library.h"

#include <array>
#include <system_error>

#include "guard/region.h"

namespace berth::sharing {

std::optional<std::filesystem::path> findGuardLibrary(const std::filesystem::path& configured,
                                                      const std::filesystem::path& program) {
  const std::filesystem::path name = std::filesystem::path(guard::kLibraryPath).filename();
  const std::filesystem::path prefix = program.parent_path().parent_path();
  const std::array<std::filesystem::path, 2> usual{prefix / "lib" / "berth" / name, prefix / "guard" / name};
  std::error_code ignored;
  if (!configured.empty()) {
    if (!std::filesystem::is_regular_file(configured, ignored)) return std::nullopt;
    return std::filesystem::absolute(configured, ignored);
  }
  for (const std::filesystem::path& path : usual) {
    if (std::filesystem::is_regular_file(path, ignored)) return path;
  }
  return std::nullopt;
}

}  // namespace berth::sharing
