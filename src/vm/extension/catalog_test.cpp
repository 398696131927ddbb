#include "vm/extension/catalog.h"

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/files.h"

namespace berth::vm::extension {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const OsInfo kUbuntu22{"ubuntu", "22.04", "Ubuntu 22.04.3 LTS", ""};
const OsInfo kRhel7{"rhel", "7.9", "Red Hat Enterprise Linux Server 7.9 (Maipo)", "server"};
const OsInfo kServer2019{"mswindows", "2019", "Windows Server 2019 Datacenter", "server"};
const OsInfo kWindows10{"mswindows", "10", "Windows 10 Enterprise", "client"};

TEST(GuestOsTest, ACataloguesNameMeansTheReleasesItSays) {
  const OsInfo ubuntu18{"ubuntu", "18.04", "Ubuntu 18.04.6 LTS", ""};
  const OsInfo centos7{"centos", "7", "CentOS Linux 7 (Core)", ""};
  for (const char* name : {"Ubuntu 22.04 LTS", "Ubuntu 22.x LTS"})
    EXPECT_TRUE(matches(name, kUbuntu22)) << name;
  for (const char* name : {"Ubuntu 18.04 LTS", "Ubuntu 2.x LTS", "Debian 22.04", "Windows Server 2022"}) {
    EXPECT_FALSE(matches(name, kUbuntu22)) << name;
  }
  EXPECT_TRUE(matches("Ubuntu 18.x LTS", ubuntu18));
  for (const char* name : {"RHEL/CentOS 7.x", "Red Hat Enterprise Linux 7.9"}) {
    EXPECT_TRUE(matches(name, kRhel7)) << name;
  }
  for (const char* name : {"RHEL/CentOS 8.x", "Red Hat Enterprise Linux 7.7"}) {
    EXPECT_FALSE(matches(name, kRhel7)) << name;
  }
  EXPECT_TRUE(matches("RHEL/CentOS 7.x", centos7));
  EXPECT_FALSE(matches("Red Hat Enterprise Linux 7.9", centos7));
  EXPECT_TRUE(matches("Windows Server 2019", kServer2019));
  EXPECT_FALSE(matches("Windows Server 2016 1607", kServer2019));
  EXPECT_FALSE(matches("Windows 10 21H2", kServer2019));
  EXPECT_TRUE(matches("Windows 10 21H2", kWindows10));
  EXPECT_FALSE(matches("Windows Server 2019", kWindows10));
}

TEST(GuestOsTest, TheAgentsAnswerIsReadAndAnythingElseIsCorrupt) {
  const auto os =
      parseOsInfo(R"({"return":{"id":"ubuntu","version-id":"22.04","pretty-name":"Ubuntu 22.04.3 LTS",)"
                  R"("kernel-release":"5.15.0"}})");
  ASSERT_TRUE(os) << os.error().message;
  EXPECT_EQ(*os, kUbuntu22);
  EXPECT_EQ(family(*os), GuestOs::Linux);
  EXPECT_EQ(family(kServer2019), GuestOs::Windows);
  for (const char* text : {"", "[]", "5"}) EXPECT_FALSE(parseOsInfo(text)) << text;
  const auto unnamed = parseOsInfo(R"({"kernel-release":"6.1.0","id":5})");
  ASSERT_TRUE(unnamed);
  EXPECT_EQ(unnamed->id, "linux");
  EXPECT_FALSE(matches("Ubuntu 22.04 LTS", *unnamed));
}

/// A published catalogue, beside the source tree.
Result<Catalog> published(const std::string& os) {
  const fs::path file = fs::path(BERTH_SOURCE_DIR) / "../shared/samples/driver-catalog" /
                        ("Nvidia-GPU-" + os + "-Resources.json");
  TRY(const std::string text, os::readFile(file, 1 << 20));
  return parseCatalog(text, file.filename().string());
}

TEST(CatalogTest, ThePublishedCataloguesAreReadAndTheDriverForAGuestIsFound) {
  const auto linux_catalog = published("Linux");
  if (!linux_catalog && linux_catalog.error().code == ErrorCode::NotFound) {
    GTEST_SKIP() << "no samples beside the source tree";
  }
  ASSERT_TRUE(linux_catalog) << linux_catalog.error().message;
  EXPECT_EQ(linux_catalog->os, GuestOs::Linux);
  const CatalogDriver* driver = choose(*linux_catalog, {kUbuntu22, "Tesla T4", "CUDA", ""});
  ASSERT_NE(driver, nullptr);
  EXPECT_EQ(driver->version, "535.54");
  EXPECT_EQ(driver->install_method, 1);
  EXPECT_THAT(driver->repository_url, HasSubstr("ubuntu2204"));
  driver = choose(*linux_catalog, {kRhel7, "", "CUDA", "latest"});
  ASSERT_NE(driver, nullptr);
  EXPECT_EQ(driver->version, "10.0.130");
  EXPECT_THAT(driver->package_url, HasSubstr("cuda-repo-rhel7"));
  EXPECT_EQ(choose(*linux_catalog, {kUbuntu22, "NVIDIA A2", "CUDA", ""}), nullptr);

  const auto windows = published("Windows");
  ASSERT_TRUE(windows) << windows.error().message;
  EXPECT_EQ(windows->os, GuestOs::Windows);
  driver = choose(*windows, {kServer2019, "Tesla T4", "CUDA", ""});
  ASSERT_NE(driver, nullptr);
  EXPECT_EQ(driver->version, "560.94");
  EXPECT_EQ(choose(*windows, {kServer2019, "Tesla T4", "CUDA", "1.2.3"}), nullptr);
}

TEST(CatalogTest, AProblemIsNamedWithItsPlace) {
  const auto message = [](const char* text) {
    const auto catalog = parseCatalog(text, "drivers.json");
    return catalog ? std::string("it was read") : catalog.error().message;
  };
  EXPECT_THAT(message("{"), HasSubstr("drivers.json: not JSON"));
  EXPECT_EQ(message("[]"), "drivers.json: is not an object");
  EXPECT_EQ(message("{}"), "drivers.json: Metadata: is missing");
  EXPECT_EQ(message(R"({"Metadata":{"OS":"BeOS"},"Latest":{"Category":[]}})"),
            "drivers.json: Metadata.OS: is neither Linux nor Windows");
  EXPECT_EQ(message(R"({"Metadata":{"OS":"Linux"},"Latest":{"Category":[{"Name":"CUDA","Versions":[{}]}]}})"),
            "drivers.json: Latest.Category[0].Versions[0].DriverVersion: is missing");
  EXPECT_EQ(message(R"({"Metadata":{"OS":"Linux"},"Latest":{"Category":[{"Name":"CUDA","Versions":[
                        {"DriverVersion":"1","Driver":[{"SupportedOSVersions":[7]}]}]}]}})"),
            "drivers.json: Latest.Category[0].Versions[0].Driver[0].SupportedOSVersions[0]: is not text");
  EXPECT_EQ(
      message(R"({"Metadata":{"OS":"Linux"},"Latest":{"Category":[{"Name":"CUDA","Versions":[
                        {"DriverVersion":"1","Driver":[{"SupportedOSVersions":[],"InstallMethod":7}]}]}]}})"),
      "drivers.json: Latest.Category[0].Versions[0].Driver[0].InstallMethod: is no known method (0, 1 or 2)");
}

}  // namespace
}  // namespace berth::vm::extension
