#include "engine/visibility.h"

#include <algorithm>
#include <numeric>

#include "base/text.h"

namespace berth::sim {
namespace {

std::vector<std::size_t> everyPlace(std::size_t count) {
  std::vector<std::size_t> places(count);
  std::iota(places.begin(), places.end(), std::size_t{0});
  return places;
}

}  // namespace

std::vector<std::size_t> nvidiaVisible(std::span<const GpuName> gpus, std::optional<std::string_view> value) {
  const std::string_view text = trim(value.value_or("all"));
  if (text.empty() || text == "all") return everyPlace(gpus.size());
  if (text == "none" || text == "void") return {};
  const auto names = split(text, ',');
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    const bool named = std::any_of(names.begin(), names.end(), [&gpu = gpus[i]](const std::string& name) {
      const auto word = trim(name);
      return word == gpu.uuid || parseWholeNumber(word) == std::int64_t{gpu.index};
    });
    if (named) places.push_back(i);
  }
  return places;
}

std::vector<std::size_t> cudaVisible(std::span<const GpuName> gpus, std::optional<std::string_view> value) {
  if (!value) return everyPlace(gpus.size());
  std::vector<std::size_t> places;
  for (const auto& entry : split(*value, ',')) {
    const auto word = trim(entry);
    std::size_t place = gpus.size();
    if (const auto number = parseWholeNumber(word)) {
      place = static_cast<std::size_t>(*number);
    } else if (word.starts_with("GPU-")) {
      const auto found = std::find_if(gpus.begin(), gpus.end(),
                                      [word](const GpuName& gpu) { return gpu.uuid.starts_with(word); });
      place = static_cast<std::size_t>(found - gpus.begin());
    }
    if (place >= gpus.size() || std::find(places.begin(), places.end(), place) != places.end()) break;
    places.push_back(place);
  }
  return places;
}

}  // namespace berth::sim
