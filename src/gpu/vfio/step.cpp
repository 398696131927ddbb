#include "gpu/vfio/step.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "gpu/pci.h"

namespace berth::vfio {
namespace {

constexpr std::string_view kEmpty = "-";
constexpr std::size_t kMaxValue = 64;
constexpr std::array<std::pair<Attribute, std::string_view>, 5> kNames{{
    {Attribute::Persistence, "persistence"},
    {Attribute::PowerControl, "power"},
    {Attribute::D3cold, "d3cold"},
    {Attribute::Override, "override"},
    {Attribute::Driver, "driver"},
}};

std::string encodeOne(const Step& step, const std::string& value) {
  return std::string(name(step.attribute)) + " " + step.device.value + " " +
         (value.empty() ? std::string(kEmpty) : value);
}

/// Names of kernel modules, "on", "0": nothing with blanks, slashes or control characters.
bool isValue(std::string_view text) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
  };
  return !text.empty() && text.size() <= kMaxValue && std::ranges::all_of(text, allowed);
}

struct Half {
  Attribute attribute = Attribute::Driver;
  PciAddress device;
  std::string value;
};

std::optional<Half> decodeHalf(std::string_view text) {
  const std::vector<std::string> words = split(text, ' ');
  if (words.size() != 3 || !isValue(words[2])) return std::nullopt;
  const auto* const known =
      std::ranges::find(kNames, std::string_view(words[0]), &std::pair<Attribute, std::string_view>::second);
  const std::optional<PciAddress> device = gpu::parsePciAddress(words[1]);
  if (known == kNames.end() || !device || device->value != words[1]) return std::nullopt;
  return Half{known->first, *device, words[2] == kEmpty ? std::string() : words[2]};
}

}  // namespace

std::string_view name(Attribute attribute) {
  return std::ranges::find(kNames, attribute, &std::pair<Attribute, std::string_view>::first)->second;
}

std::string describe(const Step& step) {
  const std::string& device = step.device.value;
  switch (step.attribute) {
    case Attribute::Persistence:
      return "turn persistence mode of " + device + " " + step.to;
    case Attribute::PowerControl:
      return "set power/control of " + device + " to " + step.to;
    case Attribute::D3cold:
      return std::string(step.to == "0" ? "forbid " : "allow ") + device + " the power state D3cold";
    case Attribute::Override:
      return step.to.empty() ? "clear driver_override of " + device
                             : "set driver_override of " + device + " to " + step.to;
    case Attribute::Driver:
      break;
  }
  return step.to.empty() ? "unbind " + device + " from " + step.from : "bind " + device + " to " + step.to;
}

StepText encode(const Step& step) { return {encodeOne(step, step.to), encodeOne(step, step.from)}; }

Result<Step> decode(const StepText& text) {
  const std::optional<Half> todo = decodeHalf(text.step);
  if (!todo) return fail(ErrorCode::Corrupt, "\"" + text.step + "\" is no step of a move");
  const std::optional<Half> undo = decodeHalf(text.undo);
  if (!undo || undo->attribute != todo->attribute || undo->device != todo->device) {
    return fail(ErrorCode::Corrupt, "\"" + text.undo + "\" does not undo \"" + text.step + "\"");
  }
  return Step{todo->attribute, todo->device, undo->value, todo->value};
}

}  // namespace berth::vfio
