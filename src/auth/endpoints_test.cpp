#include "auth/endpoints.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "auth/form.h"

namespace berth::auth {
namespace {

TEST(EndpointsTest, AddressesFollowTheNameAndPortTheClientCameBy) {
  for (const char* host : {"management.box:8443", "login.box:8443", "Management.Box:8443"}) {
    const Endpoints endpoints = endpointsFor(host, "device");
    EXPECT_EQ(endpoints.management, "https://management.box:8443");
    EXPECT_EQ(endpoints.login, "https://login.box:8443/adfs");
    EXPECT_EQ(endpoints.storage_suffix, "box");
  }
  EXPECT_EQ(endpointsFor("localhost:8443", "device").login, "https://localhost:8443/adfs");
  EXPECT_EQ(endpointsFor("[::1]:8443", "device").management, "https://[::1]:8443");
  EXPECT_EQ(endpointsFor("[::1]", "device").storage_suffix, "[::1]");
}

TEST(EndpointsTest, AHostThatIsNoneIsAnsweredWithTheDevicesOwnNames) {
  for (const char* host : {"", "evil/path", "a b", "a\"b", "user@host"}) {
    EXPECT_EQ(endpointsFor(host, "device").login, "https://login.device/adfs") << host;
  }
}

TEST(EndpointsTest, OldClientsGetOneObjectAndNewOnesAListOfClouds) {
  const Endpoints endpoints = endpointsFor("management.box", "box");
  const auto old = metadata(endpoints, "2015-01-01", "t");
  EXPECT_EQ(old.at("authentication").at("loginEndpoint"), "https://login.box/adfs");
  EXPECT_EQ(old.at("authentication").at("audiences").at(0), "https://management.box/");
  const auto clouds = metadata(endpoints, "2022-09-01", "t");
  EXPECT_EQ(clouds.at(0).at("authentication").at("tenant"), "t");
  EXPECT_EQ(clouds.at(0).at("resourceManager"), "https://management.box");
}

TEST(FormTest, FieldsAreDecoded) {
  const auto form = parseForm("grant_type=password&password=a%2Bb+c%26%3d&empty=&flag");
  ASSERT_TRUE(form);
  EXPECT_EQ(form->at("password"), "a+b c&=");
  EXPECT_EQ(form->at("empty"), "");
  EXPECT_EQ(form->at("flag"), "");
}

TEST(FormTest, WhatIsCutOffDoubledOrTooMuchIsRefused) {
  for (const char* bad : {"a=%", "a=%1", "a=%zz", "a=%+1", "a=1&a=2"}) EXPECT_FALSE(parseForm(bad)) << bad;
  std::string many;
  for (std::size_t i = 0; i < kMaxFormFields; ++i) many += "f" + std::to_string(i) + "=&";
  EXPECT_TRUE(parseForm(many));
  EXPECT_FALSE(parseForm(many + "one=more"));
}

}  // namespace
}  // namespace berth::auth
