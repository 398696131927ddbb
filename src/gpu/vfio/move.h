// Carrying a plan out, and taking it back. Every step is in the journal before it is done and again when it
// is; what a crash leaves is undone from the journal and from what the kernel shows, with the same code as an
// ordinary give-back. docs/passthrough.md has the picture.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "gpu/vfio/journal.h"
#include "gpu/vfio/step.h"

namespace berth::vfio {

using Deadline = std::chrono::steady_clock::time_point;

/// Undoing after a failure has time of its own: the deadline may be what failed.
inline constexpr std::chrono::seconds kUndoTime{30};

/// The attributes of PCI functions. Blocking, up to the deadline; worker threads only. SysfsSettings is the
/// real one.
class DeviceSettings {
 public:
  virtual ~DeviceSettings() = default;

  /// What the kernel shows now. NotFound: no such function, or it has no such attribute (persistence mode
  /// while the NVIDIA driver does not have it).
  virtual Result<std::string> read(Attribute attribute, const PciAddress& device) = 0;

  /// Makes it so and returns when the kernel has. Timeout with reason kSysfsHung: the kernel has not
  /// answered, and the change may still come to pass. Unavailable with the same reason: an earlier change of
  /// this device hangs.
  virtual Result<void> write(Attribute attribute, const PciAddress& device, const std::string& value,
                             Deadline deadline) = 0;
};

/// Asked once, before the first driver is unbound, when persistence mode is off already: a failure says who
/// still uses the devices.
using Gate = std::function<Result<void>()>;

/// Carries out the steps in order. On a failure of a step, the gate or the journal, what was done is undone,
/// last first, and the first error is returned; details name what could not be undone, which then is for
/// recovery.
Result<void> take(const std::vector<Step>& steps, DeviceSettings& settings, MoveJournal& journal,
                  const Gate& gate, Deadline deadline);

/// Undoes the entries, last first: the give-back, and the recovery after a crash at any point of take() or of
/// this. Looks at the kernel, not only at the states: a step that is not in effect counts as undone, whoever
/// undid it (a restart of the box does). A device whose step fails is left at that; the others go on. Returns
/// the first error; may be repeated. Ends with every entry Undone, or an error.
Result<void> giveBack(const std::vector<JournalEntry>& entries, DeviceSettings& settings,
                      MoveJournal& journal, Deadline deadline);

}  // namespace berth::vfio
