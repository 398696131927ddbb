#include "daemon/network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/testing/temp_dir.h"
#include "os/files.h"

namespace berth::daemon {
namespace {

using ::testing::ElementsAre;

const std::chrono::system_clock::time_point kNow(std::chrono::hours(24 * 365 * 56));

TEST(NetworkTest, ACertificateIsForTheNamesClientsOfTheApplianceUse) {
  const tls::SubjectNames names = subjectNames("box", "Host1", {"192.0.2.7", "127.0.0.1"});
  EXPECT_THAT(names.dns,
              ElementsAre("management.box", "login.box", "*.blob.box", "box", "localhost", "host1"));
  EXPECT_THAT(names.addresses, ElementsAre("127.0.0.1", "::1", "192.0.2.7"));
}

TEST(NetworkTest, AHostNameThatIsNoDnsNameIsLeftOut) {
  EXPECT_THAT(subjectNames("box", "my_host", {}).dns,
              ElementsAre("management.box", "login.box", "*.blob.box", "box", "localhost"));
  EXPECT_EQ(defaultDeviceName("my_host"), "berth");
  EXPECT_EQ(defaultDeviceName("Box7"), "box7");
}

TEST(NetworkTest, NothingIsMadeWhereNothingListens) {
  const http::testing::TempDir dir;
  Config config;
  config.state_dir = dir.at("state");
  const auto endpoints = networkEndpoints(config, kNow);
  ASSERT_TRUE(endpoints);
  EXPECT_TRUE(endpoints->empty());
  EXPECT_FALSE(std::filesystem::exists(config.state_dir));
}

TEST(NetworkTest, ACertificateOfTheUsersOwnIsUsedAsItIs) {
  const http::testing::TempDir dir;
  const auto pair = tls::makeAuthority("Mine", kNow);
  ASSERT_TRUE(pair);
  Config config;
  config.listen = {{"127.0.0.1", 0}};
  config.state_dir = dir.at("state");
  config.tls_certificate = dir.at("mine.pem");
  config.tls_key = dir.at("mine.key");
  ASSERT_EQ(networkEndpoints(config, kNow).error().code, ErrorCode::NotFound);

  ASSERT_TRUE(os::writeFileAtomically(config.tls_certificate, pair->certificate_pem, 0644));
  ASSERT_TRUE(os::writeFileAtomically(config.tls_key, pair->key_pem, 0600));
  const auto endpoints = networkEndpoints(config, kNow);
  ASSERT_TRUE(endpoints);
  EXPECT_EQ(std::get<http::TcpListenEndpoint>(endpoints->front()).certificate_pem, pair->certificate_pem);
}

}  // namespace
}  // namespace berth::daemon
