#include "daemon/config.h"

#include <gtest/gtest.h>

namespace berth::daemon {
namespace {

TEST(ConfigTest, TheFileSetsWhatItNamesAndLeavesTheRest) {
  const auto config = parseConfig("arbitration: elastic\nalsoGpus: 1234:11e8, 10de:1eb8\n", "f", {});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->arbitration, arbiter::Arbitration::Elastic);
  EXPECT_EQ(config->also_gpus.at(1).device, 0x1eb8);
  EXPECT_EQ(config->state_dir, "/var/lib/berth");
}

TEST(ConfigTest, TheAuditsPolicyIsStopUnlessItSaysReport) {
  EXPECT_EQ(Config{}.enforcement, sharing::Enforcement::Stop);
  EXPECT_EQ(parseConfig("enforcement: report\n", "f", {})->enforcement, sharing::Enforcement::Report);
  EXPECT_EQ(parseConfig("enforcement: maybe\n", "f", {}).error().message,
            "f:1 enforcement: \"maybe\" is neither stop nor report");
}

TEST(ConfigTest, AnEmptyFileIsNoSettings) { EXPECT_TRUE(parseConfig("# nothing\n", "f", {})); }

TEST(ConfigTest, ErrorsNameFileLineAndKey) {
  EXPECT_EQ(parseConfig("\nnope: 1\n", "f", {}).error().message, "f:2: there is no setting \"nope\"");
  EXPECT_EQ(parseConfig("arbitration: x\n", "f", {}).error().message,
            "f:1 arbitration: \"x\" is neither appliance nor elastic");
  EXPECT_EQ(parseConfig("logLevel: [a]\n", "f", {}).error().message,
            "f:1 logLevel: a single value is expected");
  EXPECT_EQ(parseConfig("- a\n", "f", {}).error().message, "f: settings are \"key: value\" lines");
  EXPECT_FALSE(parseConfig("a: b: c\n", "f", {}));
}

TEST(ConfigTest, WhatVirtualMachinesMayTakeIsSetInNumbers) {
  const auto config = parseConfig(
      "libvirtUri: qemu:///session\naccelerator: tcg\nmaxVms: 3\nvmCpuOvercommitPercent: 400\nhostMemoryMiB: "
      "512\n",
      "f", {});
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->libvirt_uri, "qemu:///session");
  EXPECT_EQ(config->admission.max_vms, 3);
  EXPECT_EQ(config->admission.cpu_overcommit_percent, 400);
  EXPECT_EQ(config->admission.host_memory, MiB{512});
  EXPECT_EQ(config->vmDir(), "/var/lib/berth-vms");
  EXPECT_EQ(config->driversDir(), "/var/lib/berth-vms/drivers");
  EXPECT_EQ(parseConfig("driversDir: /srv/drivers\n", "f", {})->driversDir(), "/srv/drivers");
  EXPECT_EQ(parseConfig("vmCpuOvercommitPercent: 0\n", "f", {}).error().message,
            "f:1 vmCpuOvercommitPercent: \"0\" is not a whole number from 1 to 10000");
  EXPECT_FALSE(parseConfig("accelerator: xen\n", "f", {}));
}

TEST(ConfigTest, TheNetworkIsListenedToOnlyWhereItIsSet) {
  EXPECT_TRUE(Config().listen.empty());
  const auto config = parseConfig("listen: 127.0.0.1:8443, [::1]:8443\ndeviceName: box\n", "f", {});
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->listen.size(), 2U);
  EXPECT_EQ(describe(config->listen[1]), "[::1]:8443");
  EXPECT_EQ(config->device_name, "box");
  EXPECT_FALSE(parseConfig("listen: 8443\n", "f", {}));
  EXPECT_FALSE(parseConfig("deviceName: Box,DNS:x\n", "f", {}));
}

TEST(ConfigTest, TokensLiveFromAMinuteToADay) {
  EXPECT_EQ(Config().token_lifetime, std::chrono::minutes(90));
  EXPECT_EQ(parseConfig("tokenLifetimeMinutes: 1440\n", "f", {})->token_lifetime, std::chrono::hours(24));
  for (const char* bad : {"0", "1441", "1h", "-1"}) {
    EXPECT_FALSE(parseConfig(std::string("tokenLifetimeMinutes: ") + bad + "\n", "f", {})) << bad;
  }
}

TEST(ConfigTest, ACertificateComesWithItsKey) {
  const auto half = parseConfig("tlsCertificate: /c.pem\n", "f", {});
  ASSERT_TRUE(half);
  EXPECT_FALSE(checkConfig(*half));
  EXPECT_TRUE(checkConfig(*parseConfig("tlsKey: /c.key\n", "f", *half)));
  EXPECT_TRUE(checkConfig({}));
}

TEST(ConfigTest, OneToEightGpusCanBeSimulated) {
  EXPECT_TRUE(checkSimulate("t4:1"));
  EXPECT_TRUE(checkSimulate("t4:8"));
  for (const char* bad : {"t4", "t4:0", "t4:9", ":1", "t4:x", "t4:1:1"})
    EXPECT_FALSE(checkSimulate(bad)) << bad;
}

}  // namespace
}  // namespace berth::daemon
