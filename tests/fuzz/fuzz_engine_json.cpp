// Property: whatever an engine answers, its parsers do not crash, and what they accept has what callers rely
// on: an id, and a pid only for a container that runs.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "container/engine_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace container = berth::container;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto inspected = container::parseInspect(body)) {
    const auto& status = inspected->status;
    if (status.id.value.empty() || status.pid < 0) std::abort();
    if (status.pid != 0 && status.state != container::ContainerState::Running) std::abort();
  }
  if (const auto ids = container::parseList(body)) {
    for (const auto& id : *ids) {
      if (id.value.empty()) std::abort();
    }
  }
  if (const auto volumes = container::parseVolumes(body)) {
    for (const auto& volume : *volumes) {
      if (volume.name.empty()) std::abort();
    }
  }
  if (const auto id = container::parseCreated(body); id && id->value.empty()) std::abort();
  if (const auto id = container::parseImageId(body); id && id->empty()) std::abort();
  if (const auto version = container::parseVersion(body); version && version->empty()) std::abort();
  if (container::errorFromAnswer(500, body).message.empty()) std::abort();
  if (container::parseTime(body) && size < 20) std::abort();
  return 0;
}
