#include "gpu/health.h"

#include <gtest/gtest.h>

namespace berth::gpu {
namespace {

Verdict judgeXid(std::uint64_t xid) { return judge({GpuUuid("GPU-1"), EventKind::Xid, xid}); }

TEST(HealthTest, AnApplicationsOwnFaultDoesNotTouchTheGpu) {
  for (const std::uint64_t xid : {13U, 31U, 43U, 45U, 68U, 69U, 109U}) {
    EXPECT_EQ(judgeXid(xid).severity, Severity::Ignore) << xid;
  }
}

TEST(HealthTest, HardwareFaultsAndUnknownXidsMakeTheGpuUnhealthy) {
  for (const std::uint64_t xid : {48U, 63U, 64U, 74U, 92U, 94U, 95U, 119U, 120U, 99999U}) {
    EXPECT_EQ(judgeXid(xid).severity, Severity::Unhealthy) << xid;
  }
  EXPECT_EQ(judge({GpuUuid("GPU-1"), EventKind::EccUncorrected, 0}).severity, Severity::Unhealthy);
}

TEST(HealthTest, AGpuOffTheBusIsLostAndTheReasonSaysSo) {
  EXPECT_EQ(judgeXid(79), (Verdict{Severity::Lost, Recovery::Reset, "XID 79: GPU has fallen off the bus"}));
  EXPECT_EQ(judgeXid(99999).reason, "XID 99999");
}

TEST(HealthTest, AGpuIsHealthyAgainOnlyAfterTheQuietTime) {
  EXPECT_FALSE(healthyAgain(Recovery::Quiet, {true, false, kQuietTime - std::chrono::milliseconds(1)}));
  EXPECT_TRUE(healthyAgain(Recovery::Quiet, {true, false, kQuietTime}));
  EXPECT_FALSE(healthyAgain(Recovery::Quiet, {false, false, kQuietTime})) << "it does not answer";
}

TEST(HealthTest, SomeFaultsNeedAReset) {
  EXPECT_FALSE(healthyAgain(Recovery::Reset, {true, false, kQuietTime * 100}));
  EXPECT_TRUE(healthyAgain(Recovery::Reset, {true, true, kQuietTime}));
}

}  // namespace
}  // namespace berth::gpu
