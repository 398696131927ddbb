// Runs when the library leaves the process: only in the shared library, not in the tests' copy of the driver.
#include "driver.h"

namespace {
__attribute__((destructor)) void endDriver() { berth::sim::cu::Driver::end(); }
}  // namespace
