#include "manifest/resources.h"

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "manifest/failure.h"
#include "manifest/quantity.h"

namespace berth::manifest {
namespace {

constexpr std::string_view kGpu = "nvidia.com/gpu";

// One share by its two names.
struct ShareName {
  std::string_view ours;
  std::string_view synonym;
  std::int64_t max;
  std::string_view unit;
};
constexpr ShareName kMemory = {"berth.dev/gpu-memory", "nvidia.com/gpumem",
                               std::numeric_limits<std::int32_t>::max(), "a whole number of MiB"};
constexpr ShareName kCompute = {"berth.dev/gpu-compute", "nvidia.com/gpucores", 100, "a whole percentage"};
constexpr std::array<std::string_view, 5> kGpuNames = {kGpu, kMemory.ours, kMemory.synonym, kCompute.ours,
                                                       kCompute.synonym};

Result<Quantity> quantity(const Value& value) {
  TRY(const std::string text, value.textOrNumber());
  const auto read = parseQuantity(text);
  if (!read)
    return value.invalid("must be a quantity like 128Mi or 200m, not negative; it is " + quoted(text));
  return *read;
}

Result<int> gpuCount(const Value& value) {
  const std::string written = value.node().text;
  const bool scalar = value.node().type == NodeType::Text || value.node().type == NodeType::Number;
  const auto read = scalar ? parseQuantity(written) : std::nullopt;
  if (!read || !read->exact || read->whole > std::numeric_limits<std::int32_t>::max()) {
    return refused(value.place(), "InvalidGpuCount",
                   "must be a whole number of GPUs, 0 or more, not " +
                       (scalar ? quoted(written) : std::string(describe(value.node().type))) + " (A12)",
                   "for a part of a GPU use berth.dev/gpu-compute and berth.dev/gpu-memory");
  }
  return static_cast<int>(read->whole);
}

Result<std::int64_t> share(const Value& value, const ShareName& name) {
  const std::string written = value.node().text;
  const bool scalar = value.node().type == NodeType::Text || value.node().type == NodeType::Number;
  const auto read = scalar ? parseQuantity(written) : std::nullopt;
  const bool plain = scalar && written.find_first_not_of("0123456789") == std::string::npos;
  if (!read || !plain || read->whole < 1 || read->whole > name.max) {
    return refused(value.place(), "InvalidShare",
                   "must be " + std::string(name.unit) + " from 1 to " + std::to_string(name.max) + ", not " +
                       (scalar ? quoted(written) : std::string(describe(value.node().type))) + " (B14)",
                   "leave it out for no limit");
  }
  return read->whole;
}

// The share under either name; both must say the same. 0: not stated.
Result<std::int64_t> readShare(Object& limits, const ShareName& name, GpuRequest& gpu) {
  const auto ours = limits.find(name.ours);
  const auto synonym = limits.find(name.synonym);
  if (!ours && !synonym) return 0;
  TRY(const std::int64_t value, share(ours ? *ours : *synonym, name));
  gpu.place = (ours ? *ours : *synonym).place();
  if (!ours || !synonym) return value;
  TRY(const std::int64_t other, share(*synonym, name));
  if (value != other) {
    return refused(synonym->place(), "ConflictingGpuRequest",
                   std::string(name.synonym) + " is " + std::to_string(other) + " and " +
                       std::string(name.ours) + ", which means the same, is " + std::to_string(value) +
                       " (B14)",
                   "keep one of the two");
  }
  return value;
}

Result<void> readGpu(Object& limits, GpuRequest& gpu) {
  TRY(const std::int64_t memory, readShare(limits, kMemory, gpu));
  TRY(const std::int64_t compute, readShare(limits, kCompute, gpu));
  gpu.memory = MiB{memory};
  gpu.compute = Percent{static_cast<int>(compute)};
  const auto whole = limits.find(kGpu);
  if (!whole) return {};
  TRY(gpu.whole, gpuCount(*whole));
  if (gpu.whole > 0 && (memory > 0 || compute > 0)) {
    return refused(whole->place(), "ConflictingGpuRequest",
                   "nvidia.com/gpu asks for a whole GPU and " + text(gpu.place) + " for a share of one",
                   "leave out nvidia.com/gpu for a share");
  }
  if (gpu.whole > 0) gpu.place = whole->place();
  return {};
}

void warnOfOthers(Object& list, const Value& value, std::vector<Warning>& warnings) {
  for (const Entry& entry : value.node().entries) {
    if (entry.key == "cpu" || entry.key == "memory") continue;
    bool gpu = false;
    for (const std::string_view name : kGpuNames) gpu = gpu || entry.key == name;
    if (gpu) continue;
    list.accept({entry.key});
    warnings.push_back(Warning{below(value.place(), entry.key, entry.position),
                               "is not a resource given out here, and has no effect"});
  }
}

Result<void> readLimits(const Value& value, Container& container, std::vector<Warning>& warnings) {
  TRY(Object limits, Object::of(value, warnings));
  if (const auto memory = limits.find("memory")) {
    TRY(const Quantity bytes, quantity(*memory));
    container.memory_limit_bytes = bytes.whole;
  }
  if (const auto cpu = limits.find("cpu")) {
    TRY(const Quantity cores, quantity(*cpu));
    container.cpu_limit = static_cast<double>(cores.thousandths) / 1000;
  }
  TRY_VOID(readGpu(limits, container.gpu));
  warnOfOthers(limits, value, warnings);
  return {};
}

Result<void> checkGpuRequest(const Value& request, const std::optional<Value>& limits) {
  const std::string& name = request.place().path;
  const Node* limit = nullptr;
  for (const std::string_view key : kGpuNames) {
    if (limits && name.ends_with(key)) limit = find(limits->node(), key);
  }
  const auto asked = parseQuantity(request.node().text);
  const auto limited = limit == nullptr ? std::nullopt : parseQuantity(limit->text);
  if (asked && asked->exact && limited && asked->thousandths == limited->thousandths) return {};
  return refused(request.place(), "InvalidGpuCount",
                 "a request for a GPU must equal its limit, as in Kubernetes",
                 "leave the request out; the limit says all");
}

Result<void> checkAgainstLimit(const Value& request, const std::optional<Value>& limits,
                               std::string_view key) {
  TRY(const Quantity asked, quantity(request));
  const Node* limit = limits ? find(limits->node(), key) : nullptr;
  const auto limited = limit == nullptr ? std::nullopt : parseQuantity(limit->text);
  if (limited && asked.thousandths > limited->thousandths) {
    return request.invalid("must be less than or equal to the limit, " + limit->text);
  }
  return {};
}

Result<void> readRequests(const Value& value, const std::optional<Value>& limits,
                          std::vector<Warning>& warnings) {
  TRY(Object requests, Object::of(value, warnings));
  for (const std::string_view key : kGpuNames) {
    if (const auto request = requests.find(key)) {
      TRY_VOID(checkGpuRequest(*request, limits));
    }
  }
  for (const std::string_view key : {"cpu", "memory"}) {
    if (const auto request = requests.find(key)) {
      TRY_VOID(checkAgainstLimit(*request, limits, key));
      requests.warn(key, "has no effect here; a limit would");
    }
  }
  warnOfOthers(requests, value, warnings);
  return {};
}

}  // namespace

Result<void> readResources(const Value& resources, Container& container, std::vector<Warning>& warnings) {
  TRY(Object object, Object::of(resources, warnings));
  const auto limits = object.find("limits");
  if (limits) {
    TRY_VOID(readLimits(*limits, container, warnings));
  }
  if (const auto requests = object.find("requests")) {
    TRY_VOID(readRequests(*requests, limits, warnings));
  }
  object.noEffect({"claims"}, "resource claims are not read here");
  object.finish();
  return {};
}

}  // namespace berth::manifest
