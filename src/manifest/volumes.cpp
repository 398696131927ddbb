#include "manifest/volumes.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "manifest/failure.h"
#include "manifest/names.h"

namespace berth::manifest {
namespace {

bool climbs(std::string_view path) {
  return std::ranges::any_of(split(path, '/'), [](const std::string& part) { return part == ".."; });
}

Result<Mount> readHostPath(const Value& value, std::vector<Warning>& warnings, Keys keys) {
  TRY(Object host, Object::of(value, warnings, keys));
  TRY(const Value path, host.require("path"));
  Mount mount;
  TRY(mount.source, path.text());
  if (!isHostPath(mount.source)) return path.invalid("must be an absolute path without \"..\"");
  TRY(const std::string type, host.text("type"));
  if (!type.empty() && type != "DirectoryOrCreate") host.warn("type", "is not checked here");
  host.finish();
  return mount;
}

Result<Mount> readEmptyDir(const Value& value, const std::string& name, std::vector<Warning>& warnings,
                           Keys keys) {
  TRY(Object empty, Object::of(value, warnings, keys));
  empty.noEffect({"medium", "sizeLimit"});
  empty.finish();
  return Mount{name, {}, false, true, true};
}

Result<Mount> readSource(Object& object, const std::string& name, std::vector<Warning>& warnings, Keys keys) {
  const auto host = object.find("hostPath");
  const auto empty = object.find("emptyDir");
  if (host && empty) return invalid(object.place(), "a volume is one of hostPath and emptyDir, not both");
  if (host) return readHostPath(*host, warnings, keys);
  if (empty) return readEmptyDir(*empty, name, warnings, keys);
  return invalid(
      object.place(),
      "this kind of volume is not supported here; Berth has hostPath and emptyDir (there is no cluster "
      "that would keep configMaps, secrets or claims)");
}

}  // namespace

bool isHostPath(std::string_view path) { return path.starts_with('/') && !climbs(path); }

Result<void> readVolume(const Value& value, Volumes& volumes, std::vector<Warning>& warnings, Keys keys) {
  TRY(Object object, Object::of(value, warnings, keys));
  TRY(const Value name, object.require("name"));
  TRY(const std::string label, name.text());
  if (!isDnsLabel(label)) return name.invalid(quoted(label) + " is not a DNS label (a-z, 0-9 and -)");
  TRY(Mount mount, readSource(object, label, warnings, keys));
  object.finish();
  if (!volumes.emplace(label, std::move(mount)).second) {
    return name.invalid("there are two volumes of the name " + quoted(label));
  }
  return {};
}

Result<void> readVolumeMount(const Value& value, const Volumes& volumes, Container& container,
                             std::vector<Warning>& warnings, Keys keys) {
  TRY(Object object, Object::of(value, warnings, keys));
  TRY(const Value name, object.require("name"));
  TRY(const std::string label, name.text());
  const auto volume = volumes.find(label);
  if (volume == volumes.end()) return name.invalid("there is no volume of the name " + quoted(label));
  Mount mount = volume->second;
  TRY(const Value path, object.require("mountPath"));
  TRY(mount.target, path.text());
  if (mount.target.empty() || mount.target.find(':') != std::string::npos) {
    return path.invalid("must be a path without \":\"");
  }
  if (std::ranges::find(container.mounts, mount.target, &Mount::target) != container.mounts.end()) {
    return path.invalid("is mounted twice");
  }
  TRY(mount.read_only, object.boolean("readOnly"));
  if (const auto sub = object.find("subPath")) {
    TRY(const std::string part, sub->text());
    if (mount.volume) return sub->invalid("subPath of an emptyDir is not supported here");
    if (part.starts_with('/') || climbs(part)) return sub->invalid("must be a relative path without \"..\"");
    mount.source += "/" + part;
  }
  if (const auto sub = object.find("subPathExpr")) return sub->invalid("subPathExpr is not supported here");
  object.noEffect({"mountPropagation", "recursiveReadOnly"});
  object.finish();
  container.mounts.push_back(std::move(mount));
  return {};
}

}  // namespace berth::manifest
