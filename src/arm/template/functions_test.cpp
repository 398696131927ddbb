// What each function gives, one row each; the rows follow Azure's documentation of the functions.
#include "arm/template/functions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "arm/template/testing/workbench.h"

namespace berth::arm_template {
namespace {

using testing::FakeRuntime;
using ::testing::HasSubstr;
using testing::jsonOf;
using testing::valueOf;

struct Row {
  std::string expression;
  std::string value;  // As JSON.
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) EXPECT_EQ(valueOf(row.expression), jsonOf(row.value)) << row.expression;
}

std::string errorOf(const std::string& expression) {
  const json::value value = valueOf(expression);
  return value.is_string() ? std::string(value.get_string()) : "no error";
}

TEST(FunctionsTest, Strings) {
  check(
      {{"[base64('one, two')]", R"("b25lLCB0d28=")"},
       {"[base64ToString('b25lLCB0d28=')]", R"("one, two")"},
       {"[base64ToJson(base64('{\"a\": 1}'))]", R"({"a": 1})"},
       {"[concat('a', 'b', 1, true())]", R"("ab1True")"},
       {"[contains('OneTwo', 'Two')]", "true"},
       {"[contains('OneTwo', 'two')]", "false"},
       {"[dataUriToString(dataUri('Hello'))]", R"("Hello")"},
       {"[dataUriToString('data:,a%20b')]", R"("a b")"},
       {"[empty('')]", "true"},
       {"[endsWith('abcdef', 'EF')]", "true"},
       {"[startsWith('abcdef', 'AB')]", "true"},
       {"[startsWith('a', 'ab')]", "false"},
       {"[first('One')]", R"("O")"},
       {"[last('One')]", R"("e")"},
       {"[format('{0}, {1}. {{{2}}}', 'Hello', 'Berth', 7)]", R"("Hello, Berth. {7}")"},
       {"[format('{0:D3}|{1,4}|{1,-4}|{2:N0}|{0:X2}', 7, 'ab', 8175133)]", R"("007|  ab|ab  |8,175,133|07")"},
       {"[indexOf('test', 'T')]", "0"},
       {"[indexOf('abcdef', 'xyz')]", "-1"},
       {"[lastIndexOf('test', 't')]", "3"},
       {"[join(createArray('a', 'b'), '-')]", R"("a-b")"},
       {"[join(createArray('', 'a', ''), '-')]", R"("-a-")"},
       {"[json('{\"a\": [1]}')]", R"({"a": [1]})"},
       {"[json('null')]", "null"},
       {"[length('häuser')]", "6"},
       {"[padLeft('123', 10, '0')]", R"("0000000123")"},
       {"[padLeft(7, 3)]", R"("  7")"},
       {"[replace('123-123-1234', '-', '')]", R"("1231231234")"},
       {"[skip('one two', 4)]", R"("two")"},
       {"[take('häuser', 2)]", R"("hä")"},
       {"[take('ab', 9)]", R"("ab")"},
       {"[split('one,two;three', createArray(',', ';'))]", R"(["one", "two", "three"])"},
       {"[split('a--b', '--')]", R"(["a", "b"])"},
       {"[string(createObject('a', 1))]", R"("{\"a\":1}")"},
       {"[string(true())]", R"("True")"},
       {"[substring('one two three', 4, 3)]", R"("two")"},
       {"[substring('one', 3)]", R"("")"},
       {"[toLower('One')]", R"("one")"},
       {"[toUpper('One')]", R"("ONE")"},
       {"[trim('  one two ')]", R"("one two")"},
       {"[uri('http://contoso.org/firstpath/azuredeploy.json', 'myscript.sh')]",
        R"("http://contoso.org/firstpath/myscript.sh")"},
       {"[uriComponent('http://a b/é')]", R"("http%3A%2F%2Fa%20b%2F%C3%A9")"},
       {"[uriComponentToString('a%20b%2')]", R"("a b%2")"},
       {"[length(uniqueString('a'))]", "13"},
       {"[equals(uniqueString('a', 'b'), uniqueString('a', 'b'))]", "true"},
       {"[equals(uniqueString('a'), uniqueString('A'))]", "false"},
       {"[substring(guid('a', 'b'), 14, 1)]", R"("5")"},
       {"[equals(guid('a'), guid('b'))]", "false"}});
}

TEST(FunctionsTest, ArraysAndObjects) {
  check({{"[array('a')]", R"(["a"])"},
         {"[array(createArray(1))]", "[1]"},
         {"[createArray()]", "[]"},
         {"[createObject('a', 1, 'b', createArray())]", R"({"a": 1, "b": []})"},
         {"[concat(createArray(1), createArray(2, 3))]", "[1, 2, 3]"},
         {"[contains(createArray('a', 1), 1)]", "true"},
         {"[contains(createObject('Key', 1), 'kEY')]", "true"},
         {"[empty(null())]", "true"},
         {"[empty(createObject())]", "true"},
         {"[first(createArray())]", "null"},
         {"[last(createArray(1, 2))]", "2"},
         {"[flatten(createArray(createArray(1), createArray(2, 3)))]", "[1, 2, 3]"},
         {"[indexOf(createArray('a', 'b', 'a'), 'a')]", "0"},
         {"[lastIndexOf(createArray('a', 'b', 'a'), 'a')]", "2"},
         {"[intersection(createArray(1, 2, 3), createArray(3, 2))]", "[2, 3]"},
         {"[intersection(json('{\"a\": 1, \"b\": 2}'), json('{\"a\": 1, \"b\": 3}'))]", R"({"a": 1})"},
         {"[items(createObject('b', 2, 'a', 1))]", R"([{"key": "a", "value": 1}, {"key": "b", "value": 2}])"},
         {"[objectKeys(createObject('b', 2, 'a', 1))]", R"(["a", "b"])"},
         {"[length(createObject('a', 1))]", "1"},
         {"[range(3, 3)]", "[3, 4, 5]"},
         {"[shallowMerge(createArray(json('{\"a\": {\"x\": 1}}'), json('{\"a\": {\"y\": 2}}')))]",
          R"({"a": {"y": 2}})"},
         {"[skip(createArray(1, 2, 3), 2)]", "[3]"},
         {"[take(createArray(1, 2, 3), 2)]", "[1, 2]"},
         {"[take(createArray(1), -1)]", "[]"},
         {"[tryGet(json('{\"a\": [{\"b\": 7}]}'), 'A', 0, 'b')]", "7"},
         {"[tryGet(createArray(1), 5)]", "null"},
         {"[union(createArray(1, 2), createArray(2, 3))]", "[1, 2, 3]"},
         {"[union(json('{\"a\": {\"x\": 1}, \"b\": [1]}'), json('{\"a\": {\"y\": 2}, \"b\": [2]}'))]",
          R"({"a": {"x": 1, "y": 2}, "b": [2]})"},
         {"[json('{\"Name\": [5]}').nAME[0]]", "5"},
         {"[json('{\"a\": 1}')['a']]", "1"},
         {"[json('{}').?a.?b]", "null"}});
}

TEST(FunctionsTest, NumbersAndLogic) {
  check({{"[add(5, 3)]", "8"},
         {"[sub(3, 5)]", "-2"},
         {"[mul(5, -3)]", "-15"},
         {"[div(8, 3)]", "2"},
         {"[mod(7, 3)]", "1"},
         {"[div(-9223372036854775807, -1)]", "9223372036854775807"},
         {"[int('4')]", "4"},
         {"[int(float('4.9'))]", "4"},
         {"[float(3)]", "3.0"},
         {"[max(createArray(0, 3, 2))]", "3"},
         {"[min(4, 1, 2)]", "1"},
         {"[bool('TRUE')]", "true"},
         {"[bool(0)]", "false"},
         {"[and(true(), equals('a', 'a'), not(false()))]", "true"},
         {"[or(false(), false())]", "false"},
         {"[equals('a', 'A')]", "false"},
         {"[equals(json('[1, {\"a\": 2}]'), json('[1, {\"a\": 2}]'))]", "true"},
         {"[less('apple', 'banana')]", "true"},
         {"[lessOrEquals(2, 2)]", "true"},
         {"[greater(1, 2)]", "false"},
         {"[greaterOrEquals(2, 2)]", "true"},
         {"[coalesce(null(), json('null'), 'a', fail())]", R"("a")"},
         {"[if(true(), 'yes', div(1, 0))]", R"("yes")"},
         {"[or(true(), div(1, 0))]", "true"},
         {"[and(false(), div(1, 0))]", "false"}});
}

TEST(FunctionsTest, Dates) {
  check({{"[dateTimeAdd('2020-04-07 14:53:14Z', 'P3Y')]", R"("2023-04-07T14:53:14Z")"},
         {"[dateTimeAdd('2020-04-07T14:53:14Z', '-P9D')]", R"("2020-03-29T14:53:14Z")"},
         {"[dateTimeAdd('20200407T145314Z', 'PT1H', 'u')]", R"("2020-04-07 15:53:14Z")"},
         {"[dateTimeAdd('2024-01-31', 'P1M', 'yyyy-MM-dd')]", R"("2024-02-29")"},
         {"[dateTimeAdd('2020-04-07T14:53:14+02:00', 'P1DT1S', 'R')]", R"("Wed, 08 Apr 2020 12:53:15 GMT")"},
         {"[dateTimeAdd('2020-04-07T15:03:04Z', 'PT0S', 'ddd d MMMM yy h:m:s tt')]",
          R"("Tue 7 April 20 3:3:4 PM")"},
         {"[dateTimeFromEpoch(1683040573)]", R"("2023-05-02T15:16:13Z")"},
         {"[dateTimeToEpoch('2023-05-02T15:16:13Z')]", "1683040573"}});
}

TEST(FunctionsTest, LambdasSeeTheirVariables) {
  check({{"[map(createArray(1, 2), lambda('x', mul(lambdaVariables('x'), 10)))]", "[10, 20]"},
         {"[map(createArray('a'), lambda('x', 'i', concat(lambdaVariables('x'), lambdaVariables('i'))))]",
          R"(["a0"])"},
         {"[filter(range(0, 6), lambda('n', equals(mod(lambdaVariables('n'), 2), 0)))]", "[0, 2, 4]"},
         {"[reduce(range(1, 4), 0, lambda('sum', 'n', add(lambdaVariables('sum'), lambdaVariables('n'))))]",
          "10"},
         {"[sort(createArray(3, 1, 2), lambda('a', 'b', less(lambdaVariables('a'), lambdaVariables('b'))))]",
          "[1, 2, 3]"},
         {"[toObject(createArray('a', 'b'), lambda('x', lambdaVariables('x')), lambda('x', "
          "length(lambdaVariables('x'))))]",
          R"({"a": 1, "b": 1})"},
         {"[groupBy(createArray('ab', 'ac', 'b'), lambda('x', first(lambdaVariables('x'))))]",
          R"({"a": ["ab", "ac"], "b": ["b"]})"},
         {"[mapValues(createObject('a', 1), lambda('v', add(lambdaVariables('v'), 1)))]", R"({"a": 2})"},
         {"[map(createArray(1), lambda('x', map(createArray(2), lambda('y', add(lambdaVariables('x'), "
          "lambdaVariables('y'))))))]",
          "[[3]]"}});
  EXPECT_THAT(errorOf("[lambdaVariables('x')]"), HasSubstr("there is no lambda variable x"));
  EXPECT_THAT(errorOf("[map(createArray(1), 'x')]"),
              HasSubstr("a lambda of at most 2 variables is expected"));
}

TEST(FunctionsTest, IdsAndSurroundings) {
  const std::string subscription = "/subscriptions/11111111-2222-3333-4444-555555555555";
  const auto text = [](const std::string& value) { return "\"" + value + "\""; };
  check(
      {{"[resourceId('Microsoft.Compute/images', 'i')]",
        text(subscription + "/resourceGroups/rg1/providers/Microsoft.Compute/images/i")},
       {"[resourceId('aserg', 'Microsoft.Network/virtualNetworks/subnets', 'v', 's')]",
        text(subscription + "/resourceGroups/aserg/providers/Microsoft.Network/virtualNetworks/v/subnets/s")},
       {"[resourceId('other', 'rg', 'A.B/c', 'd')]",
        text("/subscriptions/other/resourceGroups/rg/providers/A.B/c/d")},
       {"[subscriptionResourceId('A.B/c', 'd')]", text(subscription + "/providers/A.B/c/d")},
       {"[tenantResourceId('A.B/c', 'd')]", text("/providers/A.B/c/d")},
       {"[extensionResourceId(resourceId('A.B/c', 'd'), 'E.F/g', 'h')]",
        text(subscription + "/resourceGroups/rg1/providers/A.B/c/d/providers/E.F/g/h")},
       {"[resourceGroup().location]", text("dbelocal")},
       {"[subscription().displayName]", text("Default Provider Subscription")},
       {"[tenant().tenantId]", text("c0257de7-538f-415c-993a-1b87a031879d")},
       {"[deployment().name]", text("main")},
       {"[environment().name]", text("Berth")},
       {"[pickZones('A', 'b', 'c')]", "[]"}});
  EXPECT_THAT(errorOf("[resourceId('A.B/c', 'd', 'e')]"), HasSubstr("the type A.B/c needs 1 name, not 2"));
  EXPECT_THAT(errorOf("[resourceId('a', 'b')]"), HasSubstr("a resource type like"));
}

TEST(FunctionsTest, NamesOfFunctionsHaveNoCase) { check({{"[TOLOWER(CONCAT('A'))]", R"("a")"}}); }

TEST(FunctionsTest, WrongCallsNameFunctionArgumentAndColumn) {
  EXPECT_EQ(errorOf("[add(1, 'a')]"),
            "ERROR here: column 2: add: argument 2 must be an integer, not a string");
  EXPECT_EQ(errorOf("[concat('a', add(1, 'b'))]"),
            "ERROR here: column 14: add: argument 2 must be an integer, not a string");
  EXPECT_EQ(errorOf("[toLower()]"), "ERROR here: column 2: toLower takes 1 argument, not 0");
  EXPECT_EQ(errorOf("[fly('a')]"), "ERROR here: column 2: there is no function fly");
  EXPECT_EQ(errorOf("[json('{}').a]"), "ERROR here: column 12: there is no property a");
  EXPECT_EQ(errorOf("[createArray(1)[1]]"), "ERROR here: column 16: index 1 is outside of an array of 1");
  for (const char* bad : {"[div(1, 0)]",
                          "[mod(1, 0)]",
                          "[add(9223372036854775807, 1)]",
                          "[mul(9223372036854775807, 2)]",
                          "[int('4x')]",
                          "[bool('maybe')]",
                          "[base64ToString('*')]",
                          "[json('{')]",
                          "[substring('abc', 2, 5)]",
                          "[substring('abc', -1)]",
                          "[padLeft('a', 999999999)]",
                          "[padLeft('a', 3, 'ab')]",
                          "[range(0, 10001)]",
                          "[range(9223372036854775807, 2)]",
                          "[replace('a', '', 'b')]",
                          "[format('{0}')]",
                          "[format('{', 1)]",
                          "[format('}', 1)]",
                          "[max()]",
                          "[max(createArray())]",
                          "[if('a', 1, 2)]",
                          "[and(true(), 1)]",
                          "[dateTimeAdd('2020-02-30', 'P1D')]",
                          "[dateTimeAdd('2020-02-03', '1D')]",
                          "[dateTimeAdd('2020-02-03', 'P')]",
                          "[dateTimeAdd('9999-12-31', 'P1D')]",
                          "[dateTimeAdd('2020-02-03', 'P999999999Y')]",
                          "[uri('a', 'b')]",
                          "[createObject('a')]",
                          "[concat('a', createArray())]",
                          "[newGuid()]",
                          "[utcNow()]",
                          "[reference('a')]",
                          "[listKeys('a', 'b')]",
                          "[parameters('a')]",
                          "[variables('a')]",
                          "[copyIndex()]",
                          "[lambda('x', 1)]",
                          "['a'.b]",
                          "[createArray(1)['a']]"}) {
    EXPECT_THAT(errorOf(bad), HasSubstr("ERROR here: column ")) << bad;
  }
}

TEST(FunctionsTest, WhatGrowsWithoutEndIsStopped) {
  const std::string long_list = "[length(map(range(0, 10000), lambda('x', padLeft('a', 131072))))]";
  EXPECT_THAT(errorOf(long_list), HasSubstr("more work than a deployment may cost"));
}

TEST(FunctionsTest, ARunningDeploymentIsAsked) {
  FakeRuntime runtime;
  runtime.resources["/x"] = jsonOf(R"({"primaryEndpoints": {"blob": "https://a.blob.box/"}})");
  runtime.lists["listKeys"] = jsonOf(R"({"keys": [{"value": "k"}]})");
  EXPECT_EQ(valueOf("[reference('/x', '2020-01-01').primaryEndpoints.blob]", &runtime),
            "https://a.blob.box/");
  EXPECT_EQ(valueOf("[listKeys('/x', '2020-01-01').keys[0].value]", &runtime), "k");
  EXPECT_EQ(runtime.asked, (std::vector<std::string>{"/x", "listKeys /x"}));
}

}  // namespace
}  // namespace berth::arm_template
