#include "manifest/workload.h"

namespace berth::manifest {

std::string text(const Place& place) {
  std::string shown = place.file;
  if (place.line > 0) shown += ":" + std::to_string(place.line);
  if (place.line > 0 && place.column > 0) shown += ":" + std::to_string(place.column);
  if (!place.path.empty()) shown += " " + place.path;
  return shown;
}

std::string_view name(Kind kind) {
  switch (kind) {
    case Kind::Pod:
      return "Pod";
    case Kind::Job:
      return "Job";
    case Kind::Deployment:
      return "Deployment";
    case Kind::IotEdgeModule:
      return "Module";
  }
  return "Pod";
}

std::string_view name(RestartPolicy policy) {
  switch (policy) {
    case RestartPolicy::Always:
      return "Always";
    case RestartPolicy::OnFailure:
      return "OnFailure";
    case RestartPolicy::Never:
      return "Never";
  }
  return "Always";
}

}  // namespace berth::manifest
