// A test program whose own process is limited: main() starts it again under guard_run. The tests then call
// the simulated driver as any program does, change the limits as the daemon does and read the usage as it
// does.
#pragma once

#include <cstdint>
#include <vector>

#include "guard/region_files.h"
#include "tests/cuda.h"

namespace berth::guard::testing {

/// What this process's container is granted of a GPU, as a daemon would set it.
void grant(std::size_t gpu, const GpuShare& share);
void tellContextBytes(std::size_t gpu, std::uint64_t bytes);
std::vector<ProcessUsage> usage();
/// This process's entry; all zeros when it has not reported in, which `reported` tells.
ProcessGpuUsage own(std::size_t gpu, bool* reported = nullptr);
/// Bytes that it was charged for.
std::uint64_t counted(std::size_t gpu);

/// What runSelf() reaches in the new process; the test program defines it.
int reached(const std::string& what);

/// Bytes in use by all processes of the container, as they were at one moment.
std::uint64_t containerBytes(std::size_t gpu);

/// A CUDA context on simulated GPU 0, and no limits before and after the test.
class UnderGuard : public berth::sim::testing::CudaTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// `reach` in a process of its own that was started with `environment` added; its exit status. When it
  /// returns, the driver has freed what that process held.
  int runSelf(const char* reach, const std::vector<std::string>& environment = {}) const;
};

}  // namespace berth::guard::testing
