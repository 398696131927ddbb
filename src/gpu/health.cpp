#include "gpu/health.h"

#include <algorithm>
#include <array>

namespace berth::gpu {
namespace {

struct XidRow {
  std::uint64_t xid;
  Severity severity;
  Recovery recovery;
  std::string_view meaning;
};

using enum Severity;
using enum Recovery;

constexpr std::array kXids{
    XidRow{13, Ignore, Quiet, "graphics engine exception"},
    XidRow{31, Ignore, Quiet, "GPU memory page fault"},
    XidRow{43, Ignore, Quiet, "GPU stopped processing"},
    XidRow{45, Ignore, Quiet, "preemptive cleanup, due to previous errors"},
    XidRow{48, Unhealthy, Reset, "double-bit ECC error"},
    XidRow{61, Unhealthy, Reset, "internal micro-controller breakpoint"},
    XidRow{62, Unhealthy, Reset, "internal micro-controller halt"},
    XidRow{63, Unhealthy, Quiet, "row remapping or page retirement recorded"},
    XidRow{64, Unhealthy, Reset, "row remapping or page retirement failed"},
    XidRow{68, Ignore, Quiet, "video processor exception"},
    XidRow{69, Ignore, Quiet, "graphics engine class error"},
    XidRow{74, Unhealthy, Quiet, "NVLink error"},
    XidRow{79, Lost, Reset, "GPU has fallen off the bus"},
    XidRow{92, Unhealthy, Quiet, "high rate of single-bit ECC errors"},
    XidRow{94, Unhealthy, Quiet, "contained memory error"},
    XidRow{95, Unhealthy, Reset, "uncontained memory error"},
    XidRow{109, Ignore, Quiet, "context switch timeout"},
    XidRow{119, Unhealthy, Reset, "GSP RPC timeout"},
    XidRow{120, Unhealthy, Reset, "GSP error"},
    XidRow{140, Unhealthy, Reset, "unrecovered ECC error"},
};

Verdict judgeXid(std::uint64_t xid) {
  const std::string number = "XID " + std::to_string(xid);
  const auto* const row = std::ranges::find(kXids, xid, &XidRow::xid);
  if (row == kXids.end()) return {Unhealthy, Quiet, number};
  return {row->severity, row->recovery, number + ": " + std::string(row->meaning)};
}

}  // namespace

Verdict judge(const GpuEvent& event) {
  switch (event.kind) {
    case EventKind::Xid:
      return judgeXid(event.data);
    case EventKind::EccUncorrected:
      return {Unhealthy, Reset, "uncorrected ECC error"};
  }
  return {};
}

bool healthyAgain(Recovery recovery, const Retest& retest) {
  if (!retest.answers || retest.quiet < kQuietTime) return false;
  return recovery == Quiet || retest.reset_since_event;
}

}  // namespace berth::gpu
