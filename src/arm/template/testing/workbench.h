// A resource group, a template around some text, and a runtime that knows what the test told it.
#pragma once

#include <map>
#include <stdexcept>
#include <string>

#include <boost/json.hpp>

#include "arm/template/plan.h"

namespace berth::arm_template::testing {

inline constexpr const char* kGroupPrefix =
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg1/providers/";

inline json::object subscriptionObject() {
  return {{"id", "/subscriptions/11111111-2222-3333-4444-555555555555"},
          {"subscriptionId", "11111111-2222-3333-4444-555555555555"},
          {"tenantId", "c0257de7-538f-415c-993a-1b87a031879d"},
          {"displayName", "Default Provider Subscription"}};
}

inline json::object groupObject(const std::string& name) {
  return {{"id", "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/" + name},
          {"name", name},
          {"location", "dbelocal"}};
}

inline Surroundings aroundGroup() {
  Surroundings around;
  around.subscription = subscriptionObject();
  around.resource_group = groupObject("rg1");
  around.tenant = {{"tenantId", "c0257de7-538f-415c-993a-1b87a031879d"}};
  around.deployment = {{"name", "main"}};
  around.environment = {{"name", "Berth"}};
  around.now = std::chrono::sys_days(std::chrono::year(2026) / 11 / 30) + std::chrono::seconds(24'588);
  around.new_guid = [] { return "00000000-0000-4000-8000-000000000001"; };
  return around;
}

inline Surroundings aroundSubscription() {
  Surroundings around = aroundGroup();
  around.resource_group.clear();
  return around;
}

/// Knows the resources it is told of and refuses all others.
class FakeRuntime final : public Runtime {
 public:
  Result<json::value> reference(const std::string& id, const std::string& /*version*/, bool full) override {
    asked.push_back(id + (full ? " in full" : ""));
    const auto found = resources.find(id);
    if (found == resources.end()) return fail(ErrorCode::NotFound, "there is no " + id);
    return found->second;
  }
  Result<json::value> list(const std::string& function, const std::string& id, const std::string& /*version*/,
                           const json::value& /*body*/) override {
    asked.push_back(function + " " + id);
    const auto found = lists.find(function);
    if (found == lists.end()) return fail(ErrorCode::NotFound, "there is no " + function);
    return found->second;
  }

  std::map<std::string, json::value> resources;
  std::map<std::string, json::value> lists;
  std::vector<std::string> asked;
};

/// A template for a resource group with these further sections: R"("variables": {}, "resources": [])".
inline std::string withSchema(const std::string& sections) {
  return R"({"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",)"
         R"("contentVersion": "1.0.0.0",)" +
         sections + "}";
}

inline Result<Plan> planOf(const std::string& text, const json::object& parameters = {},
                           const Surroundings& around = aroundGroup()) {
  TRY(json::value document, readJson(text, "t.json"));
  TRY(const auto declared, Template::parse(std::move(document)));
  return makePlan(declared, parameters, around);
}

/// The value of one expression, "[...]" with its brackets.
inline Result<json::value> evaluated(const std::string& expression, Runtime* runtime = nullptr) {
  static const auto kEmpty = [] {
    auto document = readJson(withSchema(R"("resources": [])"), "t.json");
    return *Template::parse(*std::move(document));
  }();
  TemplateScope scope(kEmpty, {}, aroundGroup(), std::make_shared<Budget>());
  Evaluator evaluator(scope, {}, runtime);
  return evaluator.evaluate(json::value(expression), "here");
}

/// The same, with the error's text where there is no value.
inline json::value valueOf(const std::string& expression, Runtime* runtime = nullptr) {
  auto value = evaluated(expression, runtime);
  if (!value) return json::value("ERROR " + value.error().message);
  return *std::move(value);
}

inline json::value jsonOf(const std::string& text) { return json::parse(text); }

}  // namespace berth::arm_template::testing
