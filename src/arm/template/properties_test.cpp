// What holds for every template, on templates made at random.
#include <set>

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "arm/template/testing/workbench.h"

namespace berth::arm_template {
namespace {

using testing::planOf;
using testing::valueOf;
using testing::withSchema;

/// Resources r0, r1 ... each depending on some others, by whatever way of naming.
std::string graph(const std::vector<std::vector<std::size_t>>& edges) {
  json::array resources;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    json::array depends_on;
    for (const std::size_t to : edges[i]) {
      const std::string name = "r" + std::to_string(to);
      depends_on.emplace_back(to % 2 == 0 ? name : "[resourceId('A.B/c', '" + name + "')]");
    }
    resources.push_back(
        json::object{{"type", "A.B/c"}, {"name", "r" + std::to_string(i)}, {"dependsOn", depends_on}});
  }
  return withSchema("\"resources\": " + json::serialize(resources));
}

bool isInOrder(const Plan& plan) {
  std::set<std::size_t> done;
  for (const std::size_t i : plan.order) {
    for (const std::size_t before : plan.resources[i].depends_on) {
      if (!done.contains(before)) return false;
    }
    done.insert(i);
  }
  return done.size() == plan.resources.size();
}

TEST(PlanProperties, WithoutCirclesEveryResourceComesAfterItsDependencies) {
  EXPECT_TRUE(rc::check([] {
    const auto count = *rc::gen::inRange<std::size_t>(1, 30);
    std::vector<std::vector<std::size_t>> edges(count);
    for (std::size_t i = 1; i < count; ++i) {
      edges[i] = *rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, i));
    }
    const auto plan = planOf(graph(edges));
    RC_ASSERT(plan.has_value());
    RC_ASSERT(isInOrder(*plan));
  }));
}

TEST(PlanProperties, ACircleIsAlwaysFoundAndNamed) {
  EXPECT_TRUE(rc::check([] {
    const auto count = *rc::gen::inRange<std::size_t>(2, 20);
    std::vector<std::vector<std::size_t>> edges(count);
    for (std::size_t i = 1; i < count; ++i) edges[i] = {*rc::gen::inRange<std::size_t>(0, i)};
    // Whatever the last one hangs on, r0 now waits for it, and the way back leads from the last to r0.
    edges[0] = {count - 1};
    const auto plan = planOf(graph(edges));
    RC_ASSERT(!plan.has_value());
    RC_ASSERT(plan.error().message.find("a circle of dependencies: ") != std::string::npos);
  }));
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out.append(c == '\'' ? 2 : 1, c);
  return out + "'";
}

rc::Gen<std::string> plainText() {
  return rc::gen::container<std::string>(rc::gen::elementOf(std::string("abcXYZ 019'[](){},.-_/%+\"\\")));
}

TEST(ExpressionProperties, AnyTextComesThroughAsItIs) {
  EXPECT_TRUE(rc::check([] {
    const std::string text = *plainText();
    RC_ASSERT(valueOf("[" + quoted(text) + "]") == json::value(text));
    RC_ASSERT(valueOf("[base64ToString(base64(" + quoted(text) + "))]") == json::value(text));
    RC_ASSERT(valueOf("[uriComponentToString(uriComponent(" + quoted(text) + "))]") == json::value(text));
    RC_ASSERT(valueOf("[dataUriToString(dataUri(" + quoted(text) + "))]") == json::value(text));
  }));
}

TEST(ExpressionProperties, SplittingAndJoiningUndoEachOther) {
  EXPECT_TRUE(rc::check([] {
    const std::string text = *plainText();
    RC_ASSERT(valueOf("[join(split(" + quoted(text) + ", ','), ',')]") == json::value(text));
    const auto cut = *rc::gen::inRange<std::size_t>(0, text.size() + 1);
    const std::string n = std::to_string(cut);
    RC_ASSERT(valueOf("[concat(take(" + quoted(text) + ", " + n + "), skip(" + quoted(text) + ", " + n +
                      "))]") == json::value(text));
  }));
}

TEST(ExpressionProperties, ArithmeticIsExactOrAnError) {
  EXPECT_TRUE(rc::check([] {
    const auto a = *rc::gen::arbitrary<std::int64_t>();
    const auto b = *rc::gen::arbitrary<std::int64_t>();
    std::int64_t sum = 0;
    const bool overflows = __builtin_add_overflow(a, b, &sum);
    const json::value value = valueOf("[add(" + std::to_string(a) + ", " + std::to_string(b) + ")]");
    RC_ASSERT((overflows ? value.is_string() : value == json::value(sum)));
  }));
}

TEST(ExpressionProperties, DatesComeBackFromTheirSeconds) {
  EXPECT_TRUE(rc::check([] {
    const auto epoch = *rc::gen::inRange<std::int64_t>(-62'135'596'800, 253'402'300'800);
    RC_ASSERT(valueOf("[dateTimeToEpoch(dateTimeFromEpoch(" + std::to_string(epoch) + "))]") ==
              json::value(epoch));
  }));
}

}  // namespace
}  // namespace berth::arm_template
