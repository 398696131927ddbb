#include "arm/template/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arm/template/limits.h"
#include "arm/template/testing/workbench.h"

namespace berth::arm_template {
namespace {

using ::testing::HasSubstr;
using testing::jsonOf;
using testing::withSchema;

std::string readError(std::string_view text) {
  const auto value = readJson(text, "t.json");
  return value ? "none" : value.error().message;
}

std::string templateError(const std::string& text) {
  auto document = readJson(text, "t.json");
  if (!document) return document.error().message;
  const auto declared = Template::parse(*std::move(document));
  return declared ? "none" : declared.error().message;
}

TEST(JsonReaderTest, CommentsTrailingCommasAndAByteOrderMarkAreTaken) {
  const auto value = readJson("\xef\xbb\xbf// head\n{\"a\": /* one */ 1, \"b\": [2,],}\n// end", "t.json");
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ(*value, jsonOf(R"({"a": 1, "b": [2]})"));
}

TEST(JsonReaderTest, ErrorsNameFileLineAndColumn) {
  EXPECT_THAT(readError("{\n  \"a\": tru\n}"), HasSubstr("t.json:2:"));
  EXPECT_THAT(readError("{} {}"), HasSubstr("t.json:1:4: there is more after the JSON value"));
  for (const char* bad : {"", "{", "[1, 2", "{\"a\" 1}", "{'a': 1}", "\xef\xbb\xbf", "nul", "\"\\x\"",
                          "1e999x", "[1,,2]", "/", "/**", "[1 /*"}) {
    EXPECT_THAT(readError(bad), HasSubstr("t.json:")) << bad;
  }
}

TEST(JsonReaderTest, ValuesNestAThousandDeepAndNoDeeper) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(readError(nested(kMaxDepth)), "none");
  EXPECT_THAT(readError(nested(kMaxDepth + 1)), HasSubstr("t.json:1:"));
  EXPECT_THAT(readError(std::string(kMaxTemplateBytes + 1, ' ')), HasSubstr("larger than"));
}

TEST(TemplateTest, BothSchemasAreKnown) {
  const std::string end = R"(, "contentVersion": "1.0.0.0", "resources": []})";
  EXPECT_EQ(
      templateError(
          R"({"$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#")" +
          end),
      "none");
  EXPECT_EQ(
      templateError(
          R"({"$schema": "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#")" +
          end),
      "none");
  EXPECT_THAT(templateError(R"({"$schema": "https://example.com/x.json")" + end),
              HasSubstr("$schema: \"https://example.com/x.json\" is neither"));
  EXPECT_THAT(templateError(R"({"resources": []})"), HasSubstr("\"$schema\" is missing"));
}

TEST(TemplateTest, WrongShapesNameTheirPlace) {
  const std::vector<std::pair<std::string, std::string>> rows{
      {R"("resources": 1)", "resources: must be an array or an object"},
      {R"("variables": {})", "the template: \"resources\" is missing"},
      {R"("resources": [], "variables": [])", "variables: must be an object, not an array"},
      {R"("resources": [], "parameters": {"a": {"type": "strin"}})",
       "parameters.a.type: \"strin\" is no type"},
      {R"("resources": [], "parameters": {"a": "string"})", "parameters.a: must be an object, not a string"},
      {R"("resources": [], "parameters": {"a": {"type": "int", "minValue": "1"}})",
       "parameters.a.minValue: must be an integer, not a string"},
      {R"("resources": [], "parameters": {"a": {"type": "int"}, "A": {"type": "int"}})",
       "\"a\" and \"A\" differ by case alone"},
      {R"("resources": [{"name": "x"}])", "resources[0]: \"type\" is missing"},
      {R"("resources": [{"type": "A.B/c", "name": 7}])",
       "resources[0].name: must be a string, not an integer"},
      {R"("resources": [{"type": "A.B/c", "name": "x", "resources": [1]}])",
       "resources[0].resources[0]: must be an object"},
      {R"("resources": [], "functions": [{"namespace": "n", "members": {"f": {}}}])",
       "functions[0].members.f: its \"output\" has no \"value\""},
      {R"("resources": [], "imports": {"x": 1})", "imports: this section is not supported"},
      {R"("resources": [], "surprise": 1)", "surprise: a template has no such section"}};
  for (const auto& [sections, message] : rows)
    EXPECT_THAT(templateError(withSchema(sections)), HasSubstr(message)) << sections;
}

// -------------------------------------------------------------------------------------------------
// parameters

std::shared_ptr<const Template> withParameters(const std::string& parameters) {
  return *Template::parse(*readJson(withSchema(R"("resources": [], "parameters": )" + parameters), "t.json"));
}

std::string bindError(const std::string& declared, const std::string& given) {
  const auto bound = bindParameters(*withParameters(declared), jsonOf(given).as_object());
  return bound ? "none" : bound.error().message;
}

TEST(ParametersTest, AFileOrItsInnerObjectIsRead) {
  const auto file = readParameterFile(
      "\xef\xbb\xbf{\"$schema\": \"x\", \"contentVersion\": \"1.0.0.0\", \"parameters\": {\"a\": {\"value\": "
      "1}}} // end",
      "p.json");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(*file, jsonOf(R"({"a": 1})").as_object());
  EXPECT_EQ(*readParameterFile(R"({"a": {"value": null}})", "p.json"), jsonOf(R"({"a": null})").as_object());
}

TEST(ParametersTest, WhatIsNoParameterFileIsRefused) {
  const auto error = [](const char* text) {
    const auto file = readParameterFile(text, "p.json");
    return file ? "none" : file.error().message;
  };
  EXPECT_THAT(error("[]"), HasSubstr("parameters are an object"));
  EXPECT_THAT(error(R"({"a": 1})"), HasSubstr("a: must be an object with \"value\""));
  EXPECT_THAT(error(R"({"a": {"reference": {"keyVault": {}}}})"), HasSubstr("there is no key vault"));
  EXPECT_THAT(error(R"({"$schema": "x", "parameters": []})"), HasSubstr("parameters: must be an object"));
  EXPECT_THAT(error(R"({"a": {"value": 1}, "A": {"value": 2}})"), HasSubstr("differ by case alone"));
}

TEST(ParametersTest, NamesHaveNoCase) {
  EXPECT_EQ(bindError(R"({"imageName": {"type": "string"}})", R"({"ImageName": "i"})"), "none");
}

TEST(ParametersTest, UnknownMissingAndMistypedOnesAreAllNamed) {
  const auto bound = bindParameters(
      *withParameters(R"({"a": {"type": "string"}, "b": {"type": "int"}, "c": {"type": "bool"}})"),
      jsonOf(R"({"b": "1", "d": 1})").as_object());
  ASSERT_FALSE(bound);
  std::vector<std::string> targets;
  for (const ErrorDetail& detail : bound.error().details) targets.push_back(detail.target);
  EXPECT_THAT(targets, ::testing::UnorderedElementsAre("parameters.a", "parameters.b", "parameters.c",
                                                       "parameters.d"));
  EXPECT_EQ(bound.error().reason, "InvalidTemplate");
}

TEST(ParametersTest, EveryTypeTakesItsOwnAndNothingElse) {
  const std::vector<std::pair<std::string, std::string>> values{
      {"string", "\"s\""}, {"securestring", "\"s\""}, {"int", "1"},   {"bool", "true"},
      {"object", "{}"},    {"secureObject", "{}"},    {"array", "[]"}};
  for (const auto& [type, own] : values) {
    for (const char* given : {"\"s\"", "1", "true", "{}", "[]", "null", "1.5", "18446744073709551615"}) {
      const std::string error =
          bindError(R"({"p": {"type": ")" + type + "\"}}", std::string(R"({"p": )") + given + "}");
      EXPECT_EQ(error == "none", own == given) << type << " " << given << ": " << error;
    }
  }
}

TEST(ParametersTest, AllowedValuesAndLimitsHoldAtTheirEdges) {
  EXPECT_EQ(bindError(R"({"p": {"type": "string", "allowedValues": ["a", "b"]}})", R"({"p": "b"})"), "none");
  EXPECT_THAT(bindError(R"({"p": {"type": "string", "allowedValues": ["a"]}})", R"({"p": "A"})"),
              HasSubstr("\"A\" is none of [\"a\"]"));
  EXPECT_THAT(bindError(R"({"p": {"type": "securestring", "allowedValues": ["a"]}})", R"({"p": "secret"})"),
              ::testing::Not(HasSubstr("secret")));
  EXPECT_EQ(bindError(R"({"p": {"type": "array", "allowedValues": ["a", "b"]}})", R"({"p": ["a"]})"), "none");
  const std::string number = R"({"p": {"type": "int", "minValue": 2, "maxValue": 3}})";
  for (const auto& [value, fits] : std::map<int, bool>{{1, false}, {2, true}, {3, true}, {4, false}}) {
    EXPECT_EQ(bindError(number, R"({"p": )" + std::to_string(value) + "}") == "none", fits) << value;
  }
  const std::string text = R"({"p": {"type": "string", "minLength": 2, "maxLength": 3}})";
  for (const auto& [value, fits] :
       std::map<std::string, bool>{{"ä", false}, {"ää", true}, {"äää", true}, {"ääää", false}}) {
    EXPECT_EQ(bindError(text, R"({"p": ")" + value + "\"}") == "none", fits) << value;
  }
}

}  // namespace
}  // namespace berth::arm_template
