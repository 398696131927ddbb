// Property: any text is refused or gives one mount for each line, each with a target, and a bind is found
// exactly where a mount of its kind is the last at its target.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "container/gpu_edits.h"
#include "container/mount_info.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace container = berth::container;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto mounts = container::parseMountInfo(text);
  if (!mounts) return 0;
  const auto ends = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  const std::size_t lines = ends + (!text.empty() && text.back() != '\n' ? 1 : 0);
  if (mounts->size() != lines) std::abort();
  if (mounts->empty()) return 0;
  const auto& last = mounts->back();
  if (last.target.empty()) std::abort();
  if (!container::missingBinds(*mounts, {{"/x", last.target, last.read_only}}).empty()) std::abort();
  if (container::missingBinds(*mounts, {{"/x", last.target, !last.read_only}}).size() != 1) std::abort();
  return 0;
}
