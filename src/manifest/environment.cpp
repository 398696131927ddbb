#include "manifest/environment.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "base/text.h"
#include "manifest/failure.h"

namespace berth::manifest {
namespace {

constexpr std::string_view kVisibleDevices = "NVIDIA_VISIBLE_DEVICES";
constexpr std::string_view kThreadPercentage = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE";
constexpr std::size_t kMaxIndexDigits = 4;

bool isIndex(std::string_view text) {
  if (text.size() > kMaxIndexDigits || (text.size() > 1 && text.front() == '0')) return false;
  return parseWholeNumber(text).has_value();
}

bool isUuid(std::string_view text) {
  constexpr std::string_view kPrefix = "GPU-";
  if (!text.starts_with(kPrefix) || text.size() == kPrefix.size() || text.size() > 80) return false;
  return std::ranges::all_of(text.substr(kPrefix.size()), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '-';
  });
}

// The GPU a value names: an index, a UUID or "all"; empty for none.
Result<std::string> visibleGpu(const Environment::Variable& variable) {
  const std::string& value = variable.value;
  if (value.empty() || value == "none" || value == "void") return std::string();
  if (value == "all" || isIndex(value) || isUuid(value)) return value;
  const std::string shown = std::string(kVisibleDevices) + "=" + quoted(value);
  if (value.find(',') != std::string::npos) {
    return refused(variable.place, "MultipleGpusByName",
                   shown + " names more than one GPU, and one container may name one GPU (A10)",
                   "name one GPU, or ask for whole GPUs by nvidia.com/gpu in resources.limits");
  }
  return refused(variable.place, "InvalidVisibleDevices", shown + " is no GPU's index or UUID",
                 "write one index like 0, one UUID like GPU-..., all, or none");
}

Result<Percent> threadPercentage(const Environment::Variable& variable) {
  const auto percent = parseWholeNumber(variable.value);
  if (!percent || *percent < 1 || *percent > 100) {
    return refused(variable.place, "InvalidThreadPercentage",
                   std::string(kThreadPercentage) + "=" + quoted(variable.value) +
                       " is not a whole number from 1 to 100 (A11)",
                   "write a number like 20, without a sign, blanks or %");
  }
  return Percent{static_cast<int>(*percent)};
}

Result<void> applyVisible(const Environment::Variable& variable, GpuRequest& gpu) {
  TRY(std::string visible, visibleGpu(variable));
  const bool shares = gpu.compute.value > 0 || gpu.memory.value > 0;
  if (gpu.whole > 0 || (shares && visible.empty())) {
    return refused(variable.place, "ConflictingGpuRequest",
                   std::string(kVisibleDevices) + "=" + quoted(variable.value) + " contradicts " +
                       (gpu.whole > 0 ? "nvidia.com/gpu" : "the GPU share") + " at " + text(gpu.place),
                   "keep one of the two");
  }
  if (!visible.empty() && !shares) gpu.place = variable.place;
  gpu.visible = std::move(visible);
  return {};
}

}  // namespace

void Environment::set(std::string name, std::string value, const Place& place,
                      std::vector<Warning>& warnings) {
  const auto before = std::ranges::find(variables_, name, &Variable::name);
  if (before != variables_.end()) {
    warnings.push_back(Warning{place, name + " is set before as well; the last value counts"});
    variables_.erase(before);
  }
  variables_.push_back(Variable{std::move(name), std::move(value), place});
}

const Environment::Variable* Environment::find(std::string_view name) const {
  const auto found = std::ranges::find(variables_, name, &Variable::name);
  return found == variables_.end() ? nullptr : &*found;
}

std::vector<std::pair<std::string, std::string>> Environment::variables() const {
  std::vector<std::pair<std::string, std::string>> pairs;
  pairs.reserve(variables_.size());
  for (const Variable& variable : variables_) pairs.emplace_back(variable.name, variable.value);
  return pairs;
}

std::string Environment::expand(std::string_view text) const {
  std::string expanded;
  while (!text.empty()) {
    const std::size_t dollar = std::min(text.find('$'), text.size());
    expanded += text.substr(0, dollar);
    text.remove_prefix(dollar);
    if (text.size() < 2) break;
    const std::size_t close = text[1] == '(' ? text.find(')') : std::string_view::npos;
    const Variable* variable = close == std::string_view::npos ? nullptr : find(text.substr(2, close - 2));
    if (variable != nullptr) {
      expanded += variable->value;
      text.remove_prefix(close + 1);
    } else if (text[1] == '$') {
      expanded += '$';
      text.remove_prefix(2);
    } else {
      expanded += '$';
      text.remove_prefix(1);
    }
  }
  return expanded += text;
}

Result<void> applyEnvironment(const Environment& environment, Container& container,
                              std::vector<Warning>& warnings) {
  container.env = environment.variables();
  if (const auto* visible = environment.find(kVisibleDevices)) {
    TRY_VOID(applyVisible(*visible, container.gpu));
  }
  if (const auto* percentage = environment.find(kThreadPercentage)) {
    TRY(container.gpu.thread_percentage, threadPercentage(*percentage));
    if (!container.gpu.any()) {
      warnings.push_back(Warning{percentage->place, "has no effect, since the container asks for no GPU"});
    }
  }
  return {};
}

}  // namespace berth::manifest
