#include "sharing/guard/guard_audit.h"

#include <vector>

#include <gtest/gtest.h>

namespace berth::sharing {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kGrace{2000};
constexpr std::uint64_t kNamespace = 4026531836;

AuditedProcess process(std::int64_t pid, std::int64_t inner) {
  return {{pid, 1000 + pid}, {inner, kNamespace}, "job", true};
}

guard::ProcessUsage slotOf(const AuditedProcess& process) {
  guard::ProcessUsage slot;
  slot.owner = {static_cast<std::uint32_t>(process.inner.pid),
                static_cast<std::uint64_t>(process.id.start_ticks), false};
  slot.pid_namespace = process.inner.pid_namespace;
  return slot;
}

GuardAudit::Time at(int ms) { return GuardAudit::Time{} + milliseconds(ms); }

TEST(GuardAuditTest, AProcessThatReportedInIsLeftAlone) {
  GuardAudit audit(kGrace);
  const AuditedProcess good = process(300, 7);
  for (const int ms : {0, 2000, 9000}) {
    EXPECT_TRUE(audit.look({{"w/0/c", {good}, {slotOf(good)}}}, at(ms)).empty());
  }
}

TEST(GuardAuditTest, OneThatHasNotIsNamedAfterTheGraceAndOnce) {
  GuardAudit audit(kGrace);
  const AuditedProcess bad = process(300, 7);
  const std::vector<AuditedContainer> seen{{"w/0/c", {bad}, {}}};
  EXPECT_TRUE(audit.look(seen, at(0)).empty());
  EXPECT_TRUE(audit.look(seen, at(1999)).empty());
  EXPECT_EQ(audit.look(seen, at(2000)), (std::vector<Unreported>{{"w/0/c", bad}}));
  EXPECT_TRUE(audit.look(seen, at(3000)).empty());
}

TEST(GuardAuditTest, ReportingInWithinTheGraceEndsTheWaiting) {
  GuardAudit audit(kGrace);
  const AuditedProcess late = process(300, 7);
  EXPECT_TRUE(audit.look({{"w/0/c", {late}, {}}}, at(0)).empty());
  EXPECT_TRUE(audit.look({{"w/0/c", {late}, {slotOf(late)}}}, at(1000)).empty());
  EXPECT_TRUE(audit.look({{"w/0/c", {late}, {}}}, at(2500)).empty()) << "a new grace from here";
  EXPECT_EQ(audit.look({{"w/0/c", {late}, {}}}, at(4500)).size(), 1U);
}

TEST(GuardAuditTest, AnotherProcessWithTheSamePidIsAnother) {
  GuardAudit audit(kGrace);
  AuditedProcess bad = process(300, 7);
  EXPECT_TRUE(audit.look({{"w/0/c", {bad}, {}}}, at(0)).empty());
  bad.id.start_ticks += 1;
  EXPECT_TRUE(audit.look({{"w/0/c", {bad}, {}}}, at(2000)).empty());
}

TEST(GuardAuditTest, ASlotOfAnotherPidStartOrNamespaceIsNotThisProcesss) {
  const AuditedProcess seen = process(300, 7);
  EXPECT_TRUE(hasReported(seen, {slotOf(seen)}));
  guard::ProcessUsage unknown = slotOf(seen);
  unknown.pid_namespace = 0;
  EXPECT_TRUE(hasReported(seen, {unknown}));
  for (const int what : {0, 1, 2}) {
    guard::ProcessUsage other = slotOf(seen);
    if (what == 0) other.owner.pid += 1;
    if (what == 1) other.owner.start_ticks += 1;
    if (what == 2) other.pid_namespace += 1;
    EXPECT_FALSE(hasReported(seen, {other})) << what;
  }
}

TEST(GuardAuditTest, AProgramThatTookAReportedOnesPlaceWithoutTheGuardHasNotReported) {
  AuditedProcess replaced = process(300, 7);
  replaced.guard_mapped = false;
  EXPECT_FALSE(hasReported(replaced, {slotOf(replaced)}));
}

}  // namespace
}  // namespace berth::sharing
