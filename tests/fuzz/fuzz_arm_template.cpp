// Property: whatever a template holds, reading, planning and evaluating it neither crashes nor passes a
// limit; the order of a plan has every resource once, after those it depends on.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "arm/template/limits.h"
#include "arm/template/testing/workbench.h"

namespace {

namespace arm = berth::arm_template;

void require(bool holds) {
  if (!holds) std::abort();
}

void checkOrder(const arm::Plan& plan) {
  std::vector<bool> done(plan.resources.size());
  require(plan.order.size() == plan.resources.size());
  for (const std::size_t i : plan.order) {
    require(!done[i]);
    for (const std::size_t before : plan.resources[i].depends_on) require(done[before]);
    done[i] = true;
  }
}

void check(const arm::Plan& plan) {
  require(plan.resources.size() <= arm::kMaxResources);
  checkOrder(plan);
  arm::testing::FakeRuntime runtime;
  const arm::LinkReader links = [](const std::string& path) -> berth::Result<std::string> {
    return berth::fail(berth::ErrorCode::NotFound, path);
  };
  const arm::GroupReader groups = [](const std::string& name) -> berth::Result<boost::json::object> {
    return arm::testing::groupObject(name);
  };
  for (const arm::PlannedResource& each : plan.resources) {
    static_cast<void>(arm::resourceBody(plan, each, &runtime));
    const auto nested = arm::nestedPlan(plan, each, &runtime, links, groups);
    if (nested) check(*nested);
  }
  static_cast<void>(arm::planOutputs(plan, &runtime));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto& around : {arm::testing::aroundGroup(), arm::testing::aroundSubscription()}) {
    const auto plan = arm::testing::planOf(text, {}, around);
    if (plan) {
      check(*plan);
    } else {
      require(!plan.error().message.empty());
    }
  }
  return 0;
}
