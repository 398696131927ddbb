// The table of what is taken over. The entry points have NVIDIA's names and types in the files that define
// them; here their addresses are enough.
#include <array>

#include "guard/entry.h"

// NOLINTBEGIN(readability-identifier-naming)
#define HOOK(name, version) extern "C" int name();
#include "guard/hooks.def"
#undef HOOK
// NOLINTEND(readability-identifier-naming)

namespace berth::guard {

const HookEntry& hookEntry(Hook hook) noexcept {
  static const std::array<HookEntry, kHooks> kTable{{
#define HOOK(name, version) {#name, version, reinterpret_cast<void*>(&::name)},
#include "guard/hooks.def"
#undef HOOK
  }};
  return kTable[static_cast<std::size_t>(hook)];
}

}  // namespace berth::guard
