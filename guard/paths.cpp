#include "guard/entry.h"

namespace berth::guard {

const char* limitsPath() noexcept { return kLimitsPath; }
const char* usagePath() noexcept { return kUsagePath; }

}  // namespace berth::guard
