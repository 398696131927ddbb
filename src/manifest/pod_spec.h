// Kubernetes metadata and pod specs, which Pod, Job and Deployment have in common.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "manifest/value.h"
#include "manifest/workload.h"

namespace berth::manifest {

/// Name, name space, labels and annotations of an object. The name is required.
Result<void> readMetadata(const Value& value, Workload& workload, std::vector<Warning>& warnings);

/// Labels and annotations of a pod template; they win over the object's own.
Result<void> readTemplateMetadata(const Value& value, Workload& workload, std::vector<Warning>& warnings);

/// The pod's spec; `allowed` are the restart policies of its kind, of which the first is meant when none is
/// given, unless `required`.
struct RestartRule {
  std::initializer_list<RestartPolicy> allowed;
  bool required = false;
};
Result<void> readPodSpec(const Value& value, const RestartRule& rule, Workload& workload,
                         std::vector<Warning>& warnings);

/// The value of `key` in labels or annotations; null when it has none.
const std::string* findPair(const Pairs& pairs, std::string_view key);
/// Sets `key`, replacing an earlier value.
void setPair(Pairs& pairs, const std::string& key, const std::string& value);

/// B15: whether annotations or labels say `berth.dev/enforcement: best-effort`. InvalidArgument for a value
/// other than that or `strict`.
Result<bool> wantsBestEffort(const Workload& workload);

}  // namespace berth::manifest
