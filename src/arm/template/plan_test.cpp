#include "arm/template/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arm/template/limits.h"
#include "arm/template/testing/workbench.h"

namespace berth::arm_template {
namespace {

using testing::aroundSubscription;
using ::testing::ElementsAre;
using testing::FakeRuntime;
using testing::groupObject;
using ::testing::HasSubstr;
using testing::jsonOf;
using testing::kGroupPrefix;
using testing::planOf;
using testing::withSchema;

std::string planError(const std::string& sections, const std::string& parameters = "{}") {
  const auto plan = planOf(withSchema(sections), jsonOf(parameters).as_object());
  return plan ? "none" : plan.error().message;
}

Plan planned(const std::string& sections, const std::string& parameters = "{}") {
  auto plan = planOf(withSchema(sections), jsonOf(parameters).as_object());
  if (!plan) throw std::runtime_error(plan.error().message);
  return *std::move(plan);
}

std::vector<std::string> namesInOrder(const Plan& plan) {
  std::vector<std::string> names;
  for (const std::size_t i : plan.order) names.push_back(plan.resources[i].name);
  return names;
}

json::object bodyOf(const Plan& plan, std::size_t i, Runtime* runtime = nullptr) {
  auto body = resourceBody(plan, plan.resources[i], runtime);
  if (!body) throw std::runtime_error(body.error().message);
  return *std::move(body);
}

TEST(PlanTest, ResourcesGetTheirIdsAndComeAfterWhatTheyDependOn) {
  const Plan plan = planned(R"("variables": {"nic": "nic5"}, "resources": [
    {"type": "Microsoft.Compute/virtualMachines", "name": "vm1", "apiVersion": "2017-03-30",
     "dependsOn": ["[concat('Microsoft.Network/networkInterfaces/', variables('NIC'))]"]},
    {"type": "Microsoft.Network/networkInterfaces", "name": "[variables('nic')]"},
    {"type": "Microsoft.Compute/virtualMachines/extensions", "name": "vm1/gpu",
     "dependsOn": ["[resourceId('microsoft.compute/VIRTUALMACHINES', 'VM1')]"]}])");
  EXPECT_THAT(namesInOrder(plan), ElementsAre("nic5", "vm1", "vm1/gpu"));
  EXPECT_EQ(plan.resources[0].id, kGroupPrefix + std::string("Microsoft.Compute/virtualMachines/vm1"));
  EXPECT_EQ(plan.resources[2].id,
            kGroupPrefix + std::string("Microsoft.Compute/virtualMachines/vm1/extensions/gpu"));
  EXPECT_EQ(plan.resources[0].api_version, "2017-03-30");
}

TEST(PlanTest, DependenciesAreNamedInEveryWayTemplatesNameThem) {
  for (const char* name :
       {"vm1", "Microsoft.Compute/virtualMachines/vm1", "microsoft.compute/virtualmachines/VM1",
        "[resourceId('Microsoft.Compute/virtualMachines', 'vm1')]", "vmLoop"}) {
    const Plan plan = planned(std::string(R"("resources": [
      {"type": "A.B/c", "name": "last", "dependsOn": [")") +
                              name + R"("]},
      {"type": "Microsoft.Compute/virtualMachines", "name": "[concat('vm', copyIndex('vmLoop', 1))]",
       "copy": {"name": "vmLoop", "count": 1}}])");
    EXPECT_THAT(namesInOrder(plan), ElementsAre("vm1", "last")) << name;
  }
  EXPECT_THAT(
      planError(
          R"("resources": [{"type": "A.B/c", "name": "x", "dependsOn": ["[resourceId('A.B/c', 'y')]"]}])"),
      HasSubstr("resources[0].dependsOn[0]: the template has no resource /subscriptions/"));
}

TEST(PlanTest, CirclesNameTheirMembers) {
  EXPECT_THAT(planError(R"("resources": [
    {"type": "A.B/c", "name": "start", "dependsOn": ["a"]},
    {"type": "A.B/c", "name": "a", "dependsOn": ["b"]},
    {"type": "A.B/c", "name": "b", "dependsOn": ["c"]},
    {"type": "A.B/c", "name": "c", "dependsOn": ["a"]}])"),
              HasSubstr("a circle of dependencies: a -> b -> c -> a"));
  EXPECT_THAT(planError(R"("resources": [{"type": "A.B/c", "name": "a", "dependsOn": ["a"]}])"),
              HasSubstr("a circle: a -> a"));
  EXPECT_THAT(planError(R"("resources": [
    {"type": "A.B/c", "name": "a", "properties": {"x": "[reference('b').y]"}},
    {"type": "A.B/c", "name": "b", "properties": {"x": "[reference('a').y]"}}])"),
              HasSubstr("a circle of dependencies: a -> b -> a"));
}

TEST(PlanTest, AReferenceIsADependencyAndIsAnsweredByTheRunningDeployment) {
  const Plan plan = planned(R"("resources": [
    {"type": "A.B/c", "name": "reader", "properties": {"uri": "[concat(reference('store').blob, 'x')]",
      "key": "[listKeys(resourceId('M.S/accounts', 'store'), '2016-01-01').keys[0].value]"}},
    {"type": "M.S/accounts", "name": "store"}])");
  EXPECT_THAT(namesInOrder(plan), ElementsAre("store", "reader"));
  FakeRuntime runtime;
  const std::string id = kGroupPrefix + std::string("M.S/accounts/store");
  runtime.resources[id] = jsonOf(R"({"blob": "https://b/"})");
  runtime.lists["listKeys"] = jsonOf(R"({"keys": [{"value": "k"}]})");
  EXPECT_EQ(bodyOf(plan, 0, &runtime).at("properties"), jsonOf(R"({"uri": "https://b/x", "key": "k"})"));
  EXPECT_THAT(runtime.asked, ElementsAre(id, "listKeys " + id));
  const auto without = resourceBody(plan, plan.resources[0], nullptr);
  ASSERT_FALSE(without);
  EXPECT_THAT(without.error().message,
              HasSubstr("resources[0].properties.uri: column 9: reference can only be used"));
}

TEST(PlanTest, AResourcesBodyIsWithoutWhatOnlyTheTemplateUses) {
  const Plan plan = planned(R"("parameters": {"ip": {"type": "string"}}, "resources": [
    {"type": "A.B/c", "name": "x", "location": "[resourceGroup().location]", "dependsOn": [], "comments": "hm",
     "condition": true, "tags": {"[concat('a', 'b')]": "[[literal]"},
     "properties": {"m": "[if(equals(parameters('IP'), ''), 'Dynamic', 'Static')]", "n": 7, "l": [null, "[true()]"]}}])",
                            R"({"ip": ""})");
  EXPECT_EQ(json::value(bodyOf(plan, 0)), jsonOf(R"({"type": "A.B/c", "name": "x", "location": "dbelocal",
    "tags": {"ab": "[literal]"}, "properties": {"m": "Dynamic", "n": 7, "l": [null, true]}})"));
}

// ------------------------------------------------------------------------------------------------------
// loops

TEST(PlanTest, ALoopMakesOneResourceForEachTurn) {
  const Plan plan = planned(R"("resources": [{"type": "A.B/c", "name": "[concat('vm', copyIndex())]",
    "copy": {"name": "l", "count": "[length(createArray(1, 2, 3))]"}, "properties": {"i": "[copyIndex('l', 10)]"}}])");
  EXPECT_THAT(namesInOrder(plan), ElementsAre("vm0", "vm1", "vm2"));
  EXPECT_EQ(bodyOf(plan, 2).at("properties").at("i"), 12);
}

TEST(PlanTest, ASerialLoopWaitsForTheBatchBefore) {
  const Plan plan = planned(R"("resources": [{"type": "A.B/c", "name": "[string(copyIndex())]",
    "copy": {"name": "l", "count": 5, "mode": "Serial", "batchSize": 2}}])");
  EXPECT_TRUE(plan.resources[1].depends_on.empty());
  EXPECT_THAT(plan.resources[3].depends_on, ElementsAre(0, 1));
  EXPECT_THAT(plan.resources[4].depends_on, ElementsAre(2, 3));
}

TEST(PlanTest, LoopsEndAtTheirLimit) {
  const auto loop = [](const std::string& count) {
    return planError(
        R"("resources": [{"type": "A.B/c", "name": "[string(copyIndex())]", "copy": {"name": "l", "count": )" +
        count + "}}]");
  };
  EXPECT_EQ(loop(std::to_string(kMaxCopies)), "none");
  EXPECT_THAT(loop(std::to_string(kMaxCopies + 1)),
              HasSubstr("resources[0].copy.count: must be an integer from 0 to 800"));
  EXPECT_THAT(loop("-1"), HasSubstr("must be an integer from 0 to 800"));
  EXPECT_THAT(loop("\"3\""), HasSubstr("must be an integer from 0 to 800"));
  EXPECT_EQ(loop("0"), "none");
}

TEST(PlanTest, PropertiesVariablesAndOutputsLoopToo) {
  const Plan plan = planned(R"("variables": {
      "copy": [{"name": "disks", "count": 2, "input": {"lun": "[copyIndex('disks')]"}}],
      "inner": {"copy": [{"name": "list", "count": 2, "input": "[copyIndex('list', 5)]"}], "kept": 1}},
    "resources": [{"type": "A.B/c", "name": "[string(copyIndex())]", "copy": {"name": "vms", "count": 2},
      "properties": {"copy": [{"name": "d", "count": 2, "input": {"n": "[format('{0}{1}', copyIndex('vms'), copyIndex('d'))]"}}]}}],
    "outputs": {"all": {"type": "array", "copy": {"count": 2, "input": "[copyIndex()]"}},
                "disks": {"type": "array", "value": "[variables('disks')]"},
                "inner": {"type": "object", "value": "[variables('inner')]"}})");
  EXPECT_EQ(bodyOf(plan, 1).at("properties"), jsonOf(R"({"d": [{"n": "10"}, {"n": "11"}]})"));
  const auto outputs = planOutputs(plan, nullptr);
  ASSERT_TRUE(outputs) << outputs.error().message;
  EXPECT_EQ(outputs->at("all").at("value"), jsonOf("[0, 1]"));
  EXPECT_EQ(outputs->at("disks").at("value"), jsonOf(R"([{"lun": 0}, {"lun": 1}])"));
  EXPECT_EQ(outputs->at("inner").at("value"), jsonOf(R"({"list": [5, 6], "kept": 1})"));
}

TEST(PlanTest, ChildResourcesBelongToTheirParentAndComeAfterIt) {
  const Plan plan = planned(
      R"("resources": [{"type": "M.N/vnets", "name": "[concat('v', copyIndex())]", "copy": {"name": "l", "count": 2},
    "resources": [{"type": "subnets", "name": "[concat('s', copyIndex())]"}]}])");
  EXPECT_THAT(namesInOrder(plan), ElementsAre("v0", "v1", "v0/s0", "v1/s1"));
  EXPECT_EQ(plan.resources[3].type, "M.N/vnets/subnets");
  EXPECT_THAT(plan.resources[3].depends_on, ElementsAre(1));
}

TEST(PlanTest, WhatIsSwitchedOffIsMarkedAndMayShareItsName) {
  const Plan plan = planned(R"("parameters": {"new": {"type": "bool", "defaultValue": false}}, "resources": [
    {"condition": "[parameters('new')]", "type": "A.B/c", "name": "x"},
    {"condition": "[not(parameters('new'))]", "type": "A.B/c", "name": "x"}])");
  EXPECT_FALSE(plan.resources[0].enabled);
  EXPECT_TRUE(plan.resources[1].enabled);
  EXPECT_THAT(planError(R"("resources": [{"type": "A.B/c", "name": "x"}, {"type": "A.B/c", "name": "X"}])"),
              HasSubstr("is there twice"));
  EXPECT_THAT(planError(R"("resources": [{"type": "A.B/c", "name": "x", "condition": "true"}])"),
              HasSubstr("resources[0].condition: must be a boolean"));
}

TEST(PlanTest, NamesFitTheirTypes) {
  for (const char* row : {R"("A.B/c", "name": "x/y")", R"("A.B/c/d", "name": "x")",
                          R"("A.B/c/d", "name": "x/..")", R"("A.B/c", "name": "")", R"("A.B", "name": "x")",
                          R"("A.B/", "name": "x")", R"("[1]", "name": "x")"}) {
    EXPECT_THAT(planError(std::string(R"("resources": [{"type": )") + row + "}]"), HasSubstr("resources[0]."))
        << row;
  }
}

TEST(PlanTest, SymbolicNamesAreNames) {
  const Plan plan = planned(R"("languageVersion": "2.0", "resources": {
    "vm": {"type": "A.B/c", "name": "vm1", "dependsOn": ["nic"], "properties": {"n": "[reference('nic').id]"}},
    "nic": {"type": "A.B/n", "name": "nic1"},
    "old": {"existing": true, "type": "A.B/c", "name": "there"}})");
  EXPECT_THAT(namesInOrder(plan), ElementsAre("nic1", "vm1", "there"));
  EXPECT_TRUE(plan.resources[2].existing);
}

// --------------------------------------------------------------------------- parameters, variables,
// functions

TEST(PlanTest, DefaultsMayUseOtherParametersAndWhatChangesEachTime) {
  const Plan plan = planned(
      R"("parameters": {"a": {"type": "string", "defaultValue": "[concat(parameters('B'), newGuid())]"},
    "b": {"type": "string", "defaultValue": "[utcNow('yyyy')]"}}, "resources": [{"type": "A.B/c", "name": "[parameters('a')]"}])");
  EXPECT_EQ(plan.resources[0].name, "202600000000-0000-4000-8000-000000000001");
}

TEST(PlanTest, DefaultsAreCheckedLikeGivenValues) {
  EXPECT_THAT(
      planError(R"("parameters": {"a": {"type": "int", "defaultValue": "[concat('1')]"}}, "resources": [])"),
      HasSubstr("parameters.a: must be of type int, not a string"));
  EXPECT_THAT(
      planError(
          R"("parameters": {"a": {"type": "string", "defaultValue": "x", "allowedValues": ["y"]}}, "resources": [])"),
      HasSubstr("\"x\" is none of [\"y\"]"));
}

TEST(PlanTest, WhatAsksForItselfIsNamed) {
  EXPECT_THAT(
      planError(
          R"("variables": {"a": "[variables('b')]", "b": "[variables('A')]"}, "resources": [{"type": "A.B/c", "name": "[variables('a')]"}])"),
      HasSubstr("asks for itself"));
  EXPECT_THAT(planError(R"("parameters": {"a": {"type": "string", "defaultValue": "[parameters('b')]"},
    "b": {"type": "string", "defaultValue": "[parameters('a')]"}}, "resources": [])"),
              HasSubstr("asks for itself"));
}

TEST(PlanTest, ErrorsNameThePathAndTheColumn) {
  EXPECT_THAT(
      planError(
          R"("variables": {"v": {"w": ["[add(1, 'x')]"]}}, "resources": [{"type": "A.B/c", "name": "[variables('v').w[0]]"}])"),
      HasSubstr("variables.v.w[0]: column 2: add: argument 2 must be an integer"));
  EXPECT_THAT(planError(R"("resources": [{"type": "A.B/c", "name": "[concat('a', parameters('none'))]"}])"),
              HasSubstr("resources[0].name: column 14: the template has no parameter none"));
  EXPECT_THAT(planError(R"("resources": [{"type": "A.B/c", "name": "[concat('a']"}])"),
              HasSubstr("resources[0].name: column 12:"));
}

TEST(PlanTest, UsersFunctionsSeeTheirParametersAlone) {
  const std::string functions = R"("functions": [{"namespace": "own", "members": {
    "twice": {"parameters": [{"name": "n", "type": "int"}], "output": {"type": "int", "value": "[mul(parameters('N'), 2)]"}},
    "outside": {"output": {"type": "string", "value": "[variables('v')]"}},
    "again": {"output": {"type": "int", "value": "[own.twice(1)]"}}}}], "variables": {"v": 1}, )";
  EXPECT_EQ(planned(functions + R"("resources": [{"type": "A.B/c", "name": "[string(OWN.Twice(21))]"}])")
                .resources[0]
                .name,
            "42");
  EXPECT_THAT(planError(functions + R"("resources": [{"type": "A.B/c", "name": "[own.outside()]"}])"),
              HasSubstr("cannot use variables"));
  EXPECT_THAT(planError(functions + R"("resources": [{"type": "A.B/c", "name": "[string(own.again())]"}])"),
              HasSubstr("cannot call own.twice"));
  EXPECT_THAT(planError(functions + R"("resources": [{"type": "A.B/c", "name": "[own.twice()]"}])"),
              HasSubstr("own.twice takes 1 argument, not 0"));
}

TEST(PlanTest, VariablesThatGrowWithoutEndAreStopped) {
  std::string variables = R"("v0": "[padLeft('a', 1000)]")";
  for (int i = 1; i < 40; ++i) {
    const std::string before = "variables('v" + std::to_string(i - 1) + "')";
    variables += ", \"v" + std::to_string(i) + "\": \"[concat(" + before + ", " + before + ")]\"";
  }
  EXPECT_THAT(planError("\"variables\": {" + variables +
                        R"(}, "resources": [{"type": "A.B/c", "name": "[variables('v39')]"}])"),
              HasSubstr("more work than a deployment may cost"));
}

TEST(PlanTest, VariablesNestedAThousandDeepAreRefused) {
  std::string variables = R"("v0": "a")";
  for (int i = 1; i < 500; ++i)
    variables += ", \"v" + std::to_string(i) + "\": \"[variables('v" + std::to_string(i - 1) + "')]\"";
  EXPECT_THAT(planError("\"variables\": {" + variables +
                        R"(}, "resources": [{"type": "A.B/c", "name": "[variables('v499')]"}])"),
              HasSubstr("nested deeper than 1000"));
}

// ----------------------------------------------------------------------------------------------------
// outputs

TEST(PlanTest, OutputsHaveTheirTypesAndSecureOnesNoValue) {
  const Plan plan =
      planned(R"("resources": [], "outputs": {"s": {"type": "string", "value": "[toUpper('a')]"},
    "p": {"type": "securestring", "value": "secret"}, "off": {"condition": false, "type": "int", "value": 1}})");
  EXPECT_EQ(json::value(*planOutputs(plan, nullptr)),
            jsonOf(R"({"s": {"type": "String", "value": "A"}, "p": {"type": "SecureString"}})"));
  const auto wrong =
      planOutputs(planned(R"("resources": [], "outputs": {"s": {"type": "int", "value": "a"}})"), nullptr);
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("outputs.s.value: must be of type int, not a string"));
}

// ----------------------------------------------------------------------------------------- nested
// deployments

const GroupReader kGroups = [](const std::string& name) -> Result<json::object> { return groupObject(name); };
const LinkReader kNoLinks = [](const std::string& path) -> Result<std::string> {
  return fail(ErrorCode::NotFound, "there is no file " + path);
};

std::string nestedDeployment(const std::string& scope, const std::string& extra = "") {
  return R"("parameters": {"who": {"type": "string", "defaultValue": "outer"}}, "resources": [
    {"type": "Microsoft.Resources/deployments", "name": "inner", "apiVersion": "2018-09-01", )" +
         extra + R"(
     "properties": {"mode": "Incremental", "expressionEvaluationOptions": {"scope": ")" +
         scope + R"("},
      "parameters": {"who": {"value": "[concat(parameters('who'), '-inner')]"}},
      "template": {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0",
        "parameters": {"who": {"type": "string"}},
        "resources": [{"type": "A.B/c", "name": "[concat(parameters('who'), '-', resourceGroup().name)]"}]}}}])";
}

TEST(NestedTest, AnInnerScopeHasItsOwnParametersAndGroup) {
  const Plan outer = planned(nestedDeployment("inner", R"("resourceGroup": "other",)"));
  EXPECT_EQ(outer.resources[0].id,
            "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/other/providers/"
            "Microsoft.Resources/deployments/inner");
  const auto inner = nestedPlan(outer, outer.resources[0], nullptr, kNoLinks, kGroups);
  ASSERT_TRUE(inner) << inner.error().message;
  EXPECT_EQ(inner->resources[0].name, "outer-inner-other");
  EXPECT_THAT(inner->resources[0].id, HasSubstr("/resourceGroups/other/providers/A.B/c/outer-inner-other"));
  EXPECT_EQ(json::value(bodyOf(outer, 0)).at("properties"),
            jsonOf(R"({"mode": "Incremental", "expressionEvaluationOptions": {"scope": "inner"}})"));
}

TEST(NestedTest, AnOuterScopeSpeaksOfTheOuterTemplateAndGoesToItsOwnGroup) {
  const Plan outer = planned(nestedDeployment("outer", R"("resourceGroup": "other",)"));
  const auto inner = nestedPlan(outer, outer.resources[0], nullptr, kNoLinks, kGroups);
  ASSERT_TRUE(inner) << inner.error().message;
  EXPECT_EQ(inner->resources[0].name, "outer-rg1");
  EXPECT_THAT(inner->resources[0].id, HasSubstr("/resourceGroups/other/"));
}

TEST(NestedTest, ASubscriptionsTemplateMakesGroupsAndDeploysIntoThem) {
  const std::string text =
      R"({"$schema": "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#",
    "contentVersion": "1.0.0.0", "resources": [
      {"type": "Microsoft.Resources/deployments", "name": "in", "resourceGroup": "rg7",
       "dependsOn": ["[resourceId('Microsoft.Resources/resourceGroups/', 'rg7')]"],
       "properties": {"mode": "Incremental", "expressionEvaluationOptions": {"scope": "inner"}, "template":
        {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0",
         "resources": [{"type": "A.B/c", "name": "x", "location": "[resourceGroup().location]"}]}}},
      {"type": "Microsoft.Resources/resourceGroups", "name": "rg7", "location": "dbelocal", "properties": {}}]})";
  const auto outer = planOf(text, {}, aroundSubscription());
  ASSERT_TRUE(outer) << outer.error().message;
  EXPECT_THAT(namesInOrder(*outer), ElementsAre("rg7", "in"));
  EXPECT_EQ(outer->resources[1].id, "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg7");
  const auto inner = nestedPlan(*outer, outer->resources[0], nullptr, kNoLinks, kGroups);
  ASSERT_TRUE(inner) << inner.error().message;
  EXPECT_EQ(bodyOf(*inner, 0).at("location"), "dbelocal");
  EXPECT_FALSE(planOf(text));  // Not into a group.
}

TEST(NestedTest, LinkedTemplatesAreFilesBesideTheTemplate) {
  const std::map<std::string, std::string> files{
      {"nested/a.json",
       withSchema(
           R"("parameters": {"n": {"type": "string"}}, "resources": [{"type": "Microsoft.Resources/deployments",
        "name": "deeper", "properties": {"mode": "Incremental", "templateLink": {"relativePath": "../b.json"}}},
        {"type": "A.B/c", "name": "[parameters('n')]"}])")},
      {"b.json", withSchema(R"("resources": [{"type": "A.B/c", "name": "b"}])")}};
  const LinkReader links = [&](const std::string& path) -> Result<std::string> {
    const auto found = files.find(path);
    if (found == files.end()) return fail(ErrorCode::NotFound, "there is no file " + path);
    return found->second;
  };
  const auto with = [](const std::string& link) {
    return planned(
        R"("resources": [{"type": "Microsoft.Resources/deployments", "name": "d", "properties": {"mode": "Complete",
      "parameters": {"n": {"value": "given"}}, "templateLink": {"relativePath": ")" +
        link + "\"}}}]");
  };
  const Plan outer = with("nested/a.json");
  const auto inner = nestedPlan(outer, outer.resources[0], nullptr, links, kGroups);
  ASSERT_TRUE(inner) << inner.error().message;
  EXPECT_TRUE(inner->complete);
  EXPECT_EQ(inner->resources[1].name, "given");
  const auto deeper = nestedPlan(*inner, inner->resources[0], nullptr, links, kGroups);
  ASSERT_TRUE(deeper) << deeper.error().message;
  EXPECT_EQ(deeper->resources[0].name, "b");
  for (const char* bad :
       {"../b.json", "/etc/passwd", "https://example.com/a.json", "nested\\\\a.json", "missing.json", ""}) {
    const Plan plan = with(bad);
    const auto nested = nestedPlan(plan, plan.resources[0], nullptr, links, kGroups);
    ASSERT_FALSE(nested) << bad;
    EXPECT_THAT(nested.error().message, HasSubstr("resources[0].properties.templateLink")) << bad;
  }
}

TEST(NestedTest, DeploymentsNestFiveDeepAndNoDeeper) {
  const std::string self =
      withSchema(R"("resources": [{"type": "Microsoft.Resources/deployments", "name": "d",
    "properties": {"mode": "Incremental", "templateLink": {"relativePath": "self.json"}}}])");
  const LinkReader links = [&](const std::string&) -> Result<std::string> { return self; };
  auto plan = planOf(self);
  ASSERT_TRUE(plan);
  std::vector<Plan> plans{*std::move(plan)};
  for (int i = 0; i < kMaxNesting; ++i) {
    auto next = nestedPlan(plans.back(), plans.back().resources[0], nullptr, links, kGroups);
    ASSERT_TRUE(next) << next.error().message;
    plans.push_back(*std::move(next));
  }
  EXPECT_THAT(nestedPlan(plans.back(), plans.back().resources[0], nullptr, links, kGroups).error().message,
              HasSubstr("more than 5 deployments inside each other"));
}

}  // namespace
}  // namespace berth::arm_template
