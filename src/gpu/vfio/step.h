// One step of moving a GPU between the host's driver and vfio-pci: an attribute of a PCI function goes from
// one value to another. Uniform on purpose: a step is done when the kernel shows the new value, undone when
// it shows the old one, so whoever holds the journal can tell what is left to do after any crash by looking.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/types.h"

namespace berth::vfio {

enum class Attribute : std::uint8_t {
  Persistence,   // The NVIDIA driver's persistence mode: "on", "off".
  PowerControl,  // power/control: "auto", "on".
  D3cold,        // d3cold_allowed: "0", "1".
  Override,      // driver_override: a driver's name; empty: none.
  Driver,        // The driver that is bound; empty: none.
};

/// "persistence", "power", "d3cold", "override", "driver".
std::string_view name(Attribute attribute);

struct Step {
  Attribute attribute = Attribute::Driver;
  PciAddress device;
  std::string from;
  std::string to;
  bool operator==(const Step&) const = default;
};

/// For people: "bind 0000:3b:00.0 to vfio-pci", "set power/control of 0000:3b:00.0 to on".
std::string describe(const Step& step);

/// A step as the journal stores it: what to do and how to take it back, for example "driver 0000:3b:00.0
/// vfio-pci" and "driver 0000:3b:00.0 -", where "-" is the empty value.
struct StepText {
  std::string step;
  std::string undo;
  bool operator==(const StepText&) const = default;
};

StepText encode(const Step& step);

/// Corrupt: a text that encode() does not write, or two that are not of one attribute and device.
Result<Step> decode(const StepText& text);

}  // namespace berth::vfio
