// Manifests for tests, as short texts with one part that varies.
#pragma once

#include <string>

#include "manifest/workload.h"

namespace berth::manifest {

/// A Pod whose only container has `lines` (indented here) beside its name and image.
inline std::string podWith(const std::string& lines) {
  std::string text =
      "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n  - name: c\n    image: i\n";
  if (lines.empty()) return text;
  std::string indented = "    ";
  for (const char c : lines) {
    indented += c;
    if (c == '\n') indented += "    ";
  }
  return text + indented + "\n";
}

/// A Pod whose container has these limits, in YAML's flow form: "{nvidia.com/gpu: 1}".
inline std::string podWithLimits(const std::string& limits) {
  return podWith("resources: {limits: " + limits + "}");
}

/// A Pod whose container has this one variable.
inline std::string podWithEnv(const std::string& name, const std::string& value) {
  return podWith("env: [{name: " + name + ", value: \"" + value + "\"}]");
}

/// A deployment with one module; `parts` are further fields of it, `options` its createOptions, as JSON.
inline std::string moduleWith(const std::string& options, const std::string& parts = "") {
  return R"({"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1", "modules": {"m": {"type": "docker", )" +
         parts + R"("settings": {"image": "i", "createOptions": )" + options + "}}}}}}";
}

/// The error of a text that must not be accepted; an empty one when it was.
inline Error errorOf(const std::string& text) {
  const auto read = parse(text, "f.yaml");
  return read ? Error{} : read.error();
}

}  // namespace berth::manifest
