#include "vm/extension/choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::vm::extension {
namespace {

using testing::Contains;
using testing::HasSubstr;

const OsInfo kUbuntu22{"ubuntu", "22.04", "Ubuntu 22.04.3 LTS", ""};
const OsInfo kDebian{"debian", "12", "Debian GNU/Linux 12 (bookworm)", ""};
const OsInfo kServer2019{"mswindows", "2019", "Windows Server 2019 Datacenter", "server"};
const Request kLinux{"gpu", kPublisher, kLinuxType, "1.8", ""};
const Request kWindows{"gpu", kPublisher, kWindowsType, "1.5", ""};

Bundle bundle(const char* type, const char* version, std::vector<std::string> systems) {
  Bundle result;
  result.type = type;
  result.version = version;
  result.systems = std::move(systems);
  result.install = "install.sh";
  return result;
}

Offer offer() {
  Catalog catalog;
  catalog.os = GuestOs::Linux;
  CatalogDriver package;
  package.category = "CUDA";
  package.version = "525.1";
  package.systems = {"Debian 12"};
  package.package_url = "https://example.com/525.run";
  catalog.drivers = {package};
  return {
      {bundle(kLinuxType, "550.1", {"Ubuntu 24.04 LTS"}), bundle(kLinuxType, "535.2", {"Ubuntu 22.04 LTS"}),
       bundle(kLinuxType, "535.1", {"Ubuntu 22.04 LTS"})},
      {catalog}};
}

TEST(ChooseTest, TheNewestBundleForTheGuestsSystemIsTaken) {
  const auto choice = choose(kLinux, {}, kUbuntu22, offer());
  ASSERT_TRUE(choice);
  EXPECT_EQ(std::get<Bundle>(choice->source).version, "535.2");
  EXPECT_TRUE(choice->warnings.empty());

  Settings wanted;
  wanted.driver_version = "535.1";
  EXPECT_EQ(choose(kLinux, wanted, kUbuntu22, offer())->version, "535.1");
}

TEST(ChooseTest, TheUsersUrlComesFirstAndTheCatalogueServesWhatNoBundleIsFor) {
  Settings settings;
  settings.driver_url = "https://example.com/own.run";
  EXPECT_EQ(std::get<DownloadSource>(choose(kLinux, settings, kUbuntu22, offer())->source).url,
            settings.driver_url);
  const auto choice = choose(kLinux, {}, kDebian, offer());
  EXPECT_EQ(std::get<DownloadSource>(choice->source).url, "https://example.com/525.run");
  EXPECT_EQ(choice->version, "525.1");
}

TEST(ChooseTest, ASystemThatNothingIsListedForIsTriedWithAWarning) {
  Offer bundles = offer();
  bundles.catalogs.clear();
  const auto choice = choose(kLinux, {}, kDebian, bundles);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->version, "550.1");
  EXPECT_THAT(choice->warnings,
              Contains(HasSubstr("no driver is listed for Debian GNU/Linux 12 (bookworm)")));
}

TEST(ChooseTest, WhereThereIsNothingToTryTheRefusalSaysWhatThereIs) {
  const auto choice = choose(kWindows, {}, kServer2019, offer());
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().reason, kUnsupportedImage);
  EXPECT_THAT(choice.error().message, HasSubstr("Windows Server 2019"));
  EXPECT_THAT(choice.error().details[0].remedy, HasSubstr("NvidiaGpuDriverLinux 535.2"));
  Settings wanted;
  wanted.driver_version = "1.0";
  EXPECT_THAT(choose(kLinux, wanted, kUbuntu22, offer()).error().message, HasSubstr("no driver 1.0 for"));
}

TEST(ExplainTest, KnownSymptomsAreNamedAndOtherwiseTheDocumentedCode) {
  EXPECT_THAT(explain(100, "E: Could not get lock /var/lib/dpkg/lock", GuestOs::Linux).message,
              HasSubstr("package manager"));
  EXPECT_THAT(explain(14, "curl: (6) Could not resolve host: x", GuestOs::Linux).remedy,
              HasSubstr("driver bundle"));
  EXPECT_EQ(explain(10, "", GuestOs::Linux).message,
            "Linux Integration Services are missing in the guest (exit code 10)");
  EXPECT_THAT(explain(840, "", GuestOs::Windows).message, HasSubstr("did not finish in time"));
  EXPECT_THAT(explain(-52, "", GuestOs::Windows).message, HasSubstr("must restart before"));
}

TEST(DocumentedCodeTest, OnlyDocumentedCodesLeaveTheBox) {
  for (const int code : {0, 1, 10, 11, 12, 13, 14}) EXPECT_EQ(documentedCode(code, GuestOs::Linux), code);
  for (const int code : {2, 9, 15, 127, -1}) EXPECT_EQ(documentedCode(code, GuestOs::Linux), 14);
  for (const int code : {0, 1, 100, 240, 840, -1, -50, -59})
    EXPECT_EQ(documentedCode(code, GuestOs::Windows), code);
  for (const int code : {2, -49, -60, 1603}) EXPECT_EQ(documentedCode(code, GuestOs::Windows), 100);
}

}  // namespace
}  // namespace berth::vm::extension
