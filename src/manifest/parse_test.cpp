#include <cstddef>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "manifest/limits.h"
#include "manifest/test_text.h"
#include "manifest/workload.h"

namespace berth::manifest {
namespace {

using testing::HasSubstr;

const std::string kPod = podWith("");

void expectInvalid(const std::string& text, const std::string& message) {
  const Error error = errorOf(text);
  EXPECT_EQ(error.code, ErrorCode::InvalidArgument) << error.message;
  EXPECT_THAT(error.message, HasSubstr(message));
}

TEST(ParseTest, AMinimalPodIsRead) {
  const auto read = parse(kPod, "f");
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->workloads.size(), 1U);
  EXPECT_EQ(read->workloads[0].name.value, "p");
  EXPECT_TRUE(read->warnings.empty());
}

TEST(ParseTest, AFileAtTheSizeLimitIsReadAndOneByteMoreIsNot) {
  std::string text = kPod + "#";
  text.append(kMaxFileBytes - text.size(), 'x');
  EXPECT_TRUE(parse(text, "f"));
  text += 'x';
  EXPECT_EQ(errorOf(text).reason, kInputTooLarge);
}

TEST(ParseTest, DocumentsAreLimited) {
  std::string text = kPod;
  for (std::size_t i = 1; i < kMaxDocuments; ++i) text += "---\n";
  EXPECT_TRUE(parse(text, "f"));
  EXPECT_EQ(errorOf(text + "---\n").reason, kInputTooLarge);
}

std::string nested(std::size_t depth) {
  return podWith("x: " + std::string(depth, '[') + std::string(depth, ']'));
}

TEST(ParseTest, DepthIsLimited) {
  constexpr std::size_t kDeepest = kMaxDepth - 4;  // Inside root, spec, containers, container.
  EXPECT_TRUE(parse(nested(kDeepest), "f"));
  EXPECT_EQ(errorOf(nested(kDeepest + 1)).reason, kInputTooLarge);
}

TEST(ParseTest, InputNestedVeryDeeplyDoesNotOverflowTheStack) {
  EXPECT_EQ(errorOf(std::string(100'000, '[') + std::string(100'000, ']')).reason, kInputTooLarge);
  EXPECT_EQ(errorOf(std::string(200'000, '[')).code, ErrorCode::InvalidArgument);
  std::string dashes;
  std::string json;
  for (int i = 0; i < 100'000; ++i) {
    dashes += "- ";
    json += "{\"a\":";
  }
  EXPECT_EQ(errorOf(dashes).reason, kInputTooLarge);
  EXPECT_EQ(errorOf(json).reason, kInputTooLarge);
}

TEST(ParseTest, AnAliasBombIsRefusedBeforeItGrows) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 30; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 1; k < 10; ++k) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_EQ(errorOf(bomb).reason, kInputTooLarge);
}

TEST(ParseTest, ABombOfOneLongTextIsRefusedToo) {
  std::string bomb = "a: &a " + std::string(900'000, 'x') + "\nb: [";
  for (int i = 0; i < 1000; ++i) bomb += "*a, ";
  EXPECT_EQ(errorOf(bomb + "]\n").reason, kInputTooLarge);
}

TEST(ParseTest, ValuesAreLimitedInNumberAndLength) {
  std::string many = "x: [";
  for (std::size_t i = 0; i < kMaxNodes; ++i) many += "1,";
  EXPECT_EQ(errorOf(many + "]").reason, kInputTooLarge);
  EXPECT_TRUE(parse(podWith("workingDir: " + std::string(kMaxScalarBytes, 'x')), "f"));
  EXPECT_EQ(errorOf(podWith("workingDir: " + std::string(kMaxScalarBytes + 1, 'x'))).reason, kInputTooLarge);
  EXPECT_TRUE(parse(podWith(std::string(kMaxKeyBytes, 'k') + ": 1"), "f"));
  EXPECT_EQ(errorOf(podWith("? " + std::string(kMaxKeyBytes + 1, 'k') + "\n: 1")).reason, kInputTooLarge);
}

TEST(ParseTest, AliasesAndMergeKeysAreWrittenOut) {
  const auto read = parse(podWith("<<: &d {workingDir: /a, tty: true}\nworkingDir: /b"), "f");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->workloads[0].containers[0].working_dir, "/b");
  EXPECT_TRUE(read->workloads[0].containers[0].tty);
  expectInvalid("a: &a [*a]", "an alias stands inside what it names");
  expectInvalid(podWith("<<: 5"), "must name a map");
}

TEST(ParseTest, ATabInTheIndentationIsNamed) {
  expectInvalid("apiVersion: v1\nmetadata:\n\tname: p\n", "f.yaml:3:");
  expectInvalid("apiVersion: v1\nmetadata:\n\tname: p\n", "a tab in the indentation");
  expectInvalid("apiVersion:\n\tv1\n", "f.yaml:2:2 apiVersion: a tab in the indentation");
  EXPECT_TRUE(parse(podWith("resources: {\n\tlimits: {}}"), "f"));
}

TEST(ParseTest, ADoubledKeyIsNamedWithBothPlaces) {
  expectInvalid("apiVersion: v1\nmetadata:\n  name: a\n  labels: {}\n  name: b\n",
                "f.yaml:5:3 metadata: the key \"name\" is there twice; the first is on line 3");
  expectInvalid("{\"metadata\": {\"name\": \"a\",\n \"name\": \"b\"}}",
                "f.yaml:2 metadata: the key \"name\" is there twice");
}

TEST(ParseTest, OneWrongDocumentOfThreeFailsTheFileAndIsNamed) {
  std::string other = kPod;
  other.replace(other.find("name: p"), 7, "name: q");
  expectInvalid(kPod + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: w}\nspec: {}\n---\n" + other,
                "f.yaml:13:1 documents[1].spec: containers is required");
  expectInvalid(kPod + "---\na: [\n---\n" + other, "documents[1]");
}

TEST(ParseTest, EmptyDocumentsAreSkippedAndAFileOfThemIsAnError) {
  EXPECT_TRUE(parse("---\n---\n# nothing\n---\n" + kPod + "---\n", "f"));
  for (const char* nothing : {"", "# a comment\n", "---\n---\n", "\n\n", "null\n"}) {
    expectInvalid(nothing, "no objects");
  }
}

TEST(ParseTest, TextThatBelongsToNoDocumentIsAnError) {
  expectInvalid("\"a\" \"b\"", "does not belong");
  expectInvalid("just text", "must be a map");
  expectInvalid("- a\n", "must be a map");
}

TEST(ParseTest, AByteOrderMarkAndCarriageReturnsAreAccepted) {
  std::string windows = "\xEF\xBB\xBF";
  for (const char c : kPod) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
  const auto read = parse(windows, "f");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->workloads[0].containers[0].image, "i");
}

TEST(ParseTest, WhatIsNotUtf8TextIsRefusedWithItsLine) {
  expectInvalid(kPod + "# \xFF\n", "f.yaml:9:3: this is not UTF-8 text");
  expectInvalid(kPod + "# \xC3", "this is not UTF-8 text");
  expectInvalid(std::string("\xFF\xFE") + "a", "this is not UTF-8 text");
  expectInvalid(kPod + "\x04" + "x: y", "a control character (4)");
  expectInvalid(kPod + std::string(1, '\0'), "a control character (0)");
  expectInvalid(podWith("workingDir: \"\\0\""), "NUL");
}

TEST(ParseTest, JsonIsReadAndItsErrorsHaveTheirLine) {
  EXPECT_TRUE(parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},)"
                    R"("spec":{"containers":[{"name":"c","image":"\ud83d\ude00/i"}]}})",
                    "f"));
  expectInvalid("{\n\"a\": 1,\n  oops}", "f.yaml:3:3: not JSON");
  expectInvalid("{\"a\": 1", "not JSON");
  expectInvalid("{} {}", "not JSON");
  expectInvalid("{\n}\n}", "f.yaml:3:1: not JSON");
}

TEST(ParseTest, TwoWorkloadsOfOneNameAreRefusedNamingBothPlaces) {
  expectInvalid(kPod + "---\n" + kPod,
                "f.yaml:13:3 documents[1]: the name \"p\" is taken in this file, by Pod \"p\" at f.yaml:4:3");
}

TEST(ParseTest, OtherKindsAreRefusedNamingWhatIsSupported) {
  expectInvalid("apiVersion: v1\nkind: Service\nmetadata: {name: s}\n",
                "kind \"Service\" is not supported; Berth reads v1 Pod");
  expectInvalid("apiVersion: apps/v1\nkind: Pod\n", "not supported");
  expectInvalid("apiVersion: extensions/v1beta1\nkind: Deployment\n", "not supported");
  expectInvalid("hello: world\n", "apiVersion and kind are required");
}

}  // namespace
}  // namespace berth::manifest
