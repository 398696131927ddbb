#include "api/routes.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "api/api_testing.h"
#include "http/dispatch.h"
#include "http/testing/server_fixture.h"
#include "os/process.h"
#include "service/vm_testing.h"

namespace berth::api {
namespace {

using http::Role;
using http::Route;

/// Who may use a route, by the rule of docs/api.md: looking is for readers, changing for operators, breaking
/// (a simulated GPU) for the owner; whether the daemon lives, anyone may ask.
Role roleByRule(const Route& route) {
  if (route.pattern == "/healthz") return Role::Anyone;
  if (route.pattern == "/api/v1/sim/faults") return Role::Owner;
  // It reads any file of the device.
  if (route.method == "PUT" && route.pattern == "/api/v1/images/{name}") return Role::Owner;
  return route.method == "GET" ? Role::Reader : Role::Operator;
}

class RoutesTest : public ::testing::Test {
 protected:
  /// The status that a caller of `role` gets; the request names things that are not there.
  int call(const Route& route, Role role, const std::string& body = "{}") {
    http::ServerRequest request;
    request.method = route.method;
    request.path = route.pattern;
    for (const char* name : {"extension", "id", "lun", "name"}) {
      if (route.pattern.find("{" + std::string(name) + "}") != std::string::npos)
        request.params[name] = "none";
    }
    request.body = body;
    return http::dispatch(route, http::testing::FixedAuthenticator(role), {}, request).status;
  }
  const Route& routeOf(const std::string& method, const std::string& pattern) const {
    const auto found = std::ranges::find_if(
        routes_, [&](const Route& route) { return route.method == method && route.pattern == pattern; });
    if (found == routes_.end()) throw std::runtime_error("no route " + method + " " + pattern);
    return *found;
  }

  service::testing::VmBox box_{2};
  testing::NoLiveData live_;
  testing::CountingSimulation simulation_;
  os::PosixProcessRunner runner_;
  service::ExtensionService extensions_{
      {*box_.desk, box_.hypervisor, runner_, "/nonexistent", {}, {}, {}, [](const std::string&, auto) {}}};
  const std::vector<Route> routes_ = routes({*box_.service, live_, simulation_, *box_.vms, extensions_});
};

TEST_F(RoutesTest, EveryRouteIsOpenToItsRoleAndThoseAboveAndClosedToThoseBelow) {
  ASSERT_GT(routes_.size(), 20U);
  for (const Route& route : routes_) {
    SCOPED_TRACE(route.method + " " + route.pattern);
    EXPECT_EQ(route.role, roleByRule(route));
    for (const Role role : {Role::Anyone, Role::Reader, Role::Operator, Role::Owner}) {
      const int status = call(route, role);
      if (role < roleByRule(route)) {
        EXPECT_EQ(status, 403) << http::name(role);
      } else {
        EXPECT_NE(status, 403) << http::name(role);
        EXPECT_LT(status, 500) << http::name(role);
      }
    }
  }
}

TEST_F(RoutesTest, WhoIsNotLetInChangesNothing) {
  const Route& fault = routeOf("POST", "/api/v1/sim/faults");
  const std::string body = R"({"gpu": "0", "fault": "lost"})";
  EXPECT_EQ(call(fault, Role::Operator, body), 403);
  EXPECT_EQ(simulation_.injected, 0);
  EXPECT_EQ(call(fault, Role::Owner, body), 200);
  EXPECT_EQ(simulation_.injected, 1);

  const Route& enable = routeOf("POST", "/api/v1/kubernetes/enable");
  EXPECT_EQ(call(enable, Role::Reader), 403);
  EXPECT_EQ(box_.owners(), "free,free");
  EXPECT_EQ(call(enable, Role::Operator), 202);
  EXPECT_EQ(box_.owners(), "kubernetes,kubernetes");
}

TEST_F(RoutesTest, ALookAtAGpuThatIsNotThereListsThoseThatAre) {
  http::ServerRequest request;
  request.params["id"] = "7";
  const auto response = http::dispatch(routeOf("GET", "/api/v1/gpus/{id}"),
                                       http::testing::FixedAuthenticator(Role::Reader), {}, request);
  EXPECT_EQ(response.status, 404);
  EXPECT_NE(response.body.find("this device has 0 (GPU-00000000), 1 (GPU-00000001)"), std::string::npos)
      << response.body;
}

}  // namespace
}  // namespace berth::api
