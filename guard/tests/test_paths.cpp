// The test variant of the library takes its files from the folder that a variable names. The library that is
// shipped has guard/paths.cpp instead and heeds no variable; a test of its strings makes sure.
#include <array>
#include <cstdio>
#include <cstdlib>

#include "guard/entry.h"

namespace berth::guard {
namespace {

const char* inFolder(std::array<char, 512>& path, const char* file) noexcept {
  const char* folder = std::getenv("BERTH_GUARD_TEST_DIR");
  std::snprintf(path.data(), path.size(), "%s/%s", folder != nullptr ? folder : "/nonexistent", file);
  return path.data();
}

}  // namespace

const char* limitsPath() noexcept {
  static std::array<char, 512> path;
  return inFolder(path, "limits");
}
const char* usagePath() noexcept {
  static std::array<char, 512> path;
  return inFolder(path, "usage");
}

}  // namespace berth::guard
