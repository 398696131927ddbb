// Ids of resources, and the deployment's surroundings.
#include <algorithm>
#include <array>

#include <boost/json.hpp>

#include "arm/template/functions.h"
#include "base/text.h"

namespace berth::arm_template {
namespace {

std::string subscriptionIdOf(const Surroundings& around) {
  const json::value* id = find(around.subscription, "subscriptionId");
  return id != nullptr && id->is_string() ? std::string(id->get_string()) : std::string();
}

std::string groupNameOf(const Surroundings& around) {
  const json::value* name = find(around.resource_group, "name");
  return name != nullptr && name->is_string() ? std::string(name->get_string()) : std::string();
}

/// "providers/Microsoft.Compute/virtualMachines/vm/extensions/e" of the type at `type_at` and the names after
/// it.
Result<std::string> providerPath(const Arguments& args, std::size_t type_at) {
  TRY(std::string type, args.text(type_at));
  if (type.ends_with('/')) type.pop_back();
  const std::vector<std::string> segments = split(type, '/');
  const std::size_t names = args.size() - type_at - 1;
  if (segments.size() - 1 != names) {
    return fail(badCall("the type " + type + " needs " + std::to_string(segments.size() - 1) + " name" +
                        (segments.size() == 2 ? "" : "s") + ", not " + std::to_string(names)));
  }
  std::string path = "providers/" + segments[0];
  for (std::size_t i = 1; i < segments.size(); ++i) {
    TRY(const std::string name, args.text(type_at + i));
    path.append("/").append(segments[i]).append("/").append(name);
  }
  return path;
}

/// Where the type stands: the first argument with a '/' in it.
Result<std::size_t> typeAt(const Arguments& args, std::size_t most_before) {
  for (std::size_t i = 0; i < args.size() && i <= most_before; ++i) {
    TRY(const std::string text, args.text(i));
    if (text.find('/') != std::string::npos) return i;
  }
  return fail(badCall("a resource type like Microsoft.Compute/virtualMachines is expected"));
}

Result<json::value> resourceId(Arguments& args, const Surroundings& around) {
  TRY(const std::size_t at, typeAt(args, 2));
  TRY(const std::string path, providerPath(args, at));
  std::string subscription = subscriptionIdOf(around);
  std::string group = groupNameOf(around);
  if (at == 2) {
    TRY(subscription, args.text(0));
  }
  if (at >= 1 && around.atResourceGroup()) {
    TRY(group, args.text(at - 1));
  } else if (at == 2) {
    TRY(group, args.text(1));
  } else if (at == 1) {
    TRY(subscription, args.text(0));
  }
  const std::string in_group = group.empty() ? "" : "/resourceGroups/" + group;
  return json::value("/subscriptions/" + subscription + in_group + "/" + path);
}

Result<json::value> subscriptionResourceId(Arguments& args, const Surroundings& around) {
  TRY(const std::size_t at, typeAt(args, 1));
  TRY(const std::string path, providerPath(args, at));
  std::string subscription = subscriptionIdOf(around);
  if (at == 1) {
    TRY(subscription, args.text(0));
  }
  return json::value("/subscriptions/" + subscription + "/" + path);
}

Result<json::value> tenantResourceId(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string path, providerPath(args, 0));
  return json::value("/" + path);
}

Result<json::value> extensionResourceId(Arguments& args, const Surroundings& /*around*/) {
  TRY(const std::string parent, args.text(0));
  TRY(const std::string path, providerPath(args, 1));
  return json::value(parent + "/" + path);
}

Result<json::value> resourceGroup(Arguments& /*args*/, const Surroundings& around) {
  if (!around.atResourceGroup())
    return fail(badCall("there is no resource group in a deployment to a subscription"));
  return json::value(around.resource_group);
}

Result<json::value> subscription(Arguments& /*args*/, const Surroundings& around) {
  return json::value(around.subscription);
}
Result<json::value> tenant(Arguments& /*args*/, const Surroundings& around) {
  return json::value(around.tenant);
}
Result<json::value> deployment(Arguments& /*args*/, const Surroundings& around) {
  return json::value(around.deployment);
}
Result<json::value> environment(Arguments& /*args*/, const Surroundings& around) {
  return json::value(around.environment);
}

/// One place on this device: no zone can be chosen.
Result<json::value> pickZones(Arguments& /*args*/, const Surroundings& /*around*/) {
  return json::value(json::array{});
}

constexpr std::array<FunctionEntry, 10> kFunctions{
    {{"resourceId", 2, kAnyNumber, resourceId},
     {"subscriptionResourceId", 2, kAnyNumber, subscriptionResourceId},
     {"tenantResourceId", 2, kAnyNumber, tenantResourceId},
     {"extensionResourceId", 3, kAnyNumber, extensionResourceId},
     {"resourceGroup", 0, 0, resourceGroup},
     {"subscription", 0, 0, subscription},
     {"tenant", 0, 0, tenant},
     {"deployment", 0, 0, deployment},
     {"environment", 0, 0, environment},
     {"pickZones", 3, 5, pickZones}}};

}  // namespace

std::span<const FunctionEntry> resourceFunctions() { return kFunctions; }

}  // namespace berth::arm_template
