// What an XID means for a GPU, as a table, and when a GPU that was bad is good again.
//
// An XID is the NVIDIA kernel driver's error number: https://docs.nvidia.com/deploy/xid-errors/. Which of
// them are the application's own fault follows NVIDIA's device plugin (k8s-device-plugin,
// internal/rm/health.go: 13, 31, 43, 45, 68, 109) and, for 69, the catalogue. As there, an XID the table does
// not know is taken for a fault of the GPU. Unlike there, an unhealthy GPU has a way back.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "gpu/driver.h"

namespace berth::gpu {

enum class Severity : std::uint8_t {
  Ignore,     // The application's fault; the GPU is fine.
  Unhealthy,  // No new berths until healthyAgain().
  Lost,       // The GPU is gone from the bus.
};

/// What has to happen before a GPU counts as healthy after this event.
enum class Recovery : std::uint8_t {
  Quiet,  // It answers and the event does not come again for kQuietTime.
  Reset,  // The same, after a reset: a reboot, or a turn with a VM.
};

struct Verdict {
  Severity severity = Severity::Ignore;
  Recovery recovery = Recovery::Quiet;
  std::string reason;  // "XID 79: GPU has fallen off the bus"
  bool operator==(const Verdict&) const = default;
};

/// Pure.
Verdict judge(const GpuEvent& event);

inline constexpr std::chrono::seconds kQuietTime{60};

/// What a re-test of an unhealthy GPU found.
struct Retest {
  bool answers = false;                // NVML lists it and a sample succeeded.
  bool reset_since_event = false;      // Another boot, or it was bound to another driver and back.
  std::chrono::milliseconds quiet{0};  // Since its last event that was not ignored.
};

/// Pure: whether a GPU that `recovery` was demanded of gives berths again.
bool healthyAgain(Recovery recovery, const Retest& retest);

}  // namespace berth::gpu
