#include "http/router.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace berth::http {
namespace {

std::vector<Route> routes() {
  return {{"GET", "/api/v1/gpus", Role::Reader, {}, "All GPUs"},
          {"GET", "/api/v1/gpus/all", Role::Reader, {}, "Literally"},
          {"GET", "/api/v1/gpus/{id}", Role::Reader, {}, "One GPU"},
          {"PUT", "/api/v1/gpus/{id}/mode", Role::Operator, {}, "Sets a mode", {{"dryRun", "Only plan"}}}};
}

Match matchOf(const Router& router, std::string_view method, std::string_view target) {
  return router.match(method, parseTarget(target).value());
}

TEST(RouterTest, ASegmentInBracesTakesAnyOneDecodedSegment) {
  const Router router(routes());
  const Match match = matchOf(router, "GET", "/api/v1/gpus/a%2Fb%20c?x=1");
  ASSERT_NE(match.route, nullptr);
  EXPECT_EQ(match.route->summary, "One GPU");
  EXPECT_EQ(match.params.at("id"), "a/b c");
}

TEST(RouterTest, TheFirstRouteOfTheTableWins) {
  const Router router(routes());
  EXPECT_EQ(matchOf(router, "GET", "/api/v1/gpus/all").route->summary, "Literally");
}

TEST(RouterTest, UnknownPathsHaveNoAllowedMethods) {
  const Router router(routes());
  for (const char* path : {"/", "/api/v1", "/api/v1/gpus/", "/api/v1/gpus/1/2/3", "/API/v1/gpus"}) {
    const Match match = matchOf(router, "GET", path);
    EXPECT_EQ(match.route, nullptr) << path;
    EXPECT_EQ(match.allowed, "") << path;
  }
}

TEST(RouterTest, AWrongMethodIsToldTheRightOnes) {
  const Router router(routes());
  EXPECT_EQ(matchOf(router, "DELETE", "/api/v1/gpus/1").allowed, "GET, HEAD");
  EXPECT_EQ(matchOf(router, "GET", "/api/v1/gpus/1/mode").allowed, "PUT");
}

TEST(RouterTest, AGetRouteAnswersHead) {
  const Router router(routes());
  EXPECT_NE(matchOf(router, "HEAD", "/api/v1/gpus").route, nullptr);
  EXPECT_EQ(matchOf(router, "HEAD", "/api/v1/gpus/1/mode").route, nullptr);
}

TEST(RouterTest, TheQueryIsDecoded) {
  const Target target = parseTarget("/x?file=a%20b.yaml&follow=true&empty").value();
  EXPECT_EQ(target.query.at("file"), "a b.yaml");
  EXPECT_EQ(target.query.at("follow"), "true");
  EXPECT_EQ(target.query.at("empty"), "");
}

TEST(RouterTest, WhatIsNotAPathAndQueryIsRefused) {
  for (const char* bad : {"", "x", "http://h/x", "/x%zz", "/x%2", "*", "/x#y", "/x%ff",
                          "/x?file=pods%de.yaml", "/x?%c0%af=1"}) {
    EXPECT_FALSE(parseTarget(bad)) << bad;
  }
}

TEST(RouterTest, TheOpenApiDocumentHasEveryRouteWithItsRoleAndParameters) {
  const auto document = boost::json::parse(openApiDocument(routes(), "Berth", "1"));
  EXPECT_EQ(document.at("openapi"), "3.1.0");
  for (const Route& route : routes()) {
    const std::string method = route.method == "GET" ? "get" : "put";
    const auto& operation = document.at("paths").at(route.pattern).at(method);
    EXPECT_EQ(operation.at("x-berth-role").as_string(), std::string(name(route.role)));
  }
  const auto& parameters = document.at("paths").at("/api/v1/gpus/{id}/mode").at("put").at("parameters");
  EXPECT_EQ(parameters.at(0).at("name"), "id");
  EXPECT_EQ(parameters.at(0).at("in"), "path");
  EXPECT_EQ(parameters.at(1).at("name"), "dryRun");
  EXPECT_EQ(parameters.at(1).at("in"), "query");
}

}  // namespace
}  // namespace berth::http
