#include "api/extension_routes.h"

#include <string>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "http/dispatch.h"
#include "http/testing/server_fixture.h"
#include "os/process.h"
#include "service/vm_testing.h"

namespace berth::api {
namespace {

namespace json = boost::json;

class ExtensionRoutesTest : public ::testing::Test {
 protected:
  ExtensionRoutesTest() { EXPECT_TRUE(box_.create("vm1")); }

  /// METHOD and what follows "/extensions" in the path's pattern; the body of the answer.
  json::value call(const std::string& method, const std::string& rest, int status,
                   const std::string& body = "") {
    http::ServerRequest request;
    request.method = method;
    request.params = {{"name", "vm1"}, {"extension", "gpu"}};
    request.body = body;
    for (const http::Route& route : routes_) {
      if (route.method != method || route.pattern != "/api/v1/vms/{name}/extensions" + rest) continue;
      const auto response =
          http::dispatch(route, http::testing::FixedAuthenticator(http::Role::Operator), {}, request);
      EXPECT_EQ(response.status, status) << response.body;
      return json::parse(response.body);
    }
    throw std::runtime_error("no such route");
  }

  service::testing::VmBox box_{1};
  os::PosixProcessRunner runner_;
  service::ExtensionService extensions_{
      {*box_.desk, box_.hypervisor, runner_, "/nonexistent", {}, {}, {}, [](const std::string&, auto) {}}};
  const std::vector<http::Route> routes_ = extensionRoutes(extensions_);
};

TEST_F(ExtensionRoutesTest, WhatWasAskedForIsListedWithItsState) {
  call("PUT", "/{extension}", 202, R"({"version": "1.8", "settings": {"DRIVER_URL": "http://x/a.run"}})");
  const json::value listed = call("GET", "", 200);
  EXPECT_EQ(json::serialize(listed),
            R"([{"name":"gpu","publisher":"Microsoft.HpcCompute","type":"NvidiaGpuDriverLinux",)"
            R"("version":"1.8","settings":{"DRIVER_URL":"http://x/a.run"},"state":"Creating","attempt":1,)"
            R"("percent":0,"message":"","outcome":null}])");
  call("POST", "/{extension}/retry", 409);
  EXPECT_EQ(call("DELETE", "/{extension}", 202).at("state"), "Deleting");
}

TEST_F(ExtensionRoutesTest, ABodyThatIsNoneIsRefusedAndNamesItsPlace) {
  for (const auto& [body, word] :
       {std::pair{R"({"settings": 7})", "settings"}, std::pair{R"({"kind": "x"})", "kind"},
        std::pair{R"({"type": "Other"})", "Other"}, std::pair{R"({"publisher": "Me"})", "Me"},
        std::pair{R"({"settings": {"DRIVER_URL": "ftp://x"}})", "DRIVER_URL"}}) {
    const json::value error = call("PUT", "/{extension}", 400, body);
    EXPECT_NE(json::serialize(error).find(word), std::string::npos) << json::serialize(error);
  }
  EXPECT_EQ(call("GET", "", 200), json::array{});
  call("DELETE", "/{extension}", 404);
}

}  // namespace
}  // namespace berth::api
