#include "vm/extension/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace berth::vm::extension {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Request kLinux{"gpuLinux", kPublisher, kLinuxType, "1.8", ""};
const Target kVm{VmName("vm1"), GuestOs::Linux, 1};

TEST(CheckTest, AVmWithoutGpuAndTheOtherSystemsHandlerAreRefusedWithWhatHelps) {
  EXPECT_TRUE(check(kLinux, kVm));
  const auto none = check(kLinux, {VmName("vm1"), GuestOs::Linux, 0});
  EXPECT_EQ(none.error().reason, kNoGpu);
  EXPECT_THAT(none.error().details[0].remedy, HasSubstr("berth vm resize vm1"));
  const auto other = check(kLinux, {VmName("vm1"), GuestOs::Windows, 1});
  EXPECT_EQ(other.error().reason, kOtherOs);
  EXPECT_THAT(other.error().details[0].remedy, HasSubstr(kWindowsType));
}

TEST(CheckTest, APublisherTypeOrNameThatIsNoneIsNamed) {
  Request request = kLinux;
  request.publisher = "Contoso";
  EXPECT_THAT(check(request, kVm).error().message, HasSubstr("publisher Contoso is unknown"));
  request = kLinux;
  request.type = "AmdGpuDriverLinux";
  EXPECT_THAT(check(request, kVm).error().message, HasSubstr("AmdGpuDriverLinux is unknown"));
  for (const char* name : {"", "a/b", "a b", "..", "-x"}) {
    request = kLinux;
    request.name = name;
    EXPECT_EQ(check(request, kVm).error().code, ErrorCode::InvalidArgument) << name;
  }
}

TEST(SettingsTest, TheAppliancesSettingsAreReadWhateverTheirSpelling) {
  const auto windows = parseSettings(
      R"({"DriverURL":"http://us.download.nvidia.com/a.exe","DriverCertificateUrl":"https://go.microsoft.com/x?linkid=1",)"
      R"("DriverType":"CUDA"})");
  ASSERT_TRUE(windows) << windows.error().message;
  EXPECT_EQ(windows->driver_url, "http://us.download.nvidia.com/a.exe");
  EXPECT_EQ(windows->certificate_url, "https://go.microsoft.com/x?linkid=1");
  EXPECT_EQ(windows->category, "CUDA");

  const auto linux_settings = parseSettings(
      R"({"DRIVER_URL":"https://a/b.run","PUBKEY_URL":"7fa2af80.pub","CUDA_ver":"10.0.130","InstallCUDA":"true",)"
      R"("updateOS":"true","installGridNC":true,"driverVersion":"535.54"})");
  ASSERT_TRUE(linux_settings) << linux_settings.error().message;
  EXPECT_EQ(linux_settings->category, "GRID");
  EXPECT_EQ(linux_settings->driver_version, "535.54");
  EXPECT_THAT(linux_settings->unused, ElementsAre("PUBKEY_URL", "CUDA_ver", "InstallCUDA", "updateOS"));
  for (const char* text : {"", " ", "{}"}) EXPECT_EQ(parseSettings(text), Settings{}) << text;
}

TEST(SettingsTest, ABadSettingIsNamed) {
  const auto message = [](const char* text) {
    const auto settings = parseSettings(text);
    return settings ? std::string("it was read") : settings.error().message;
  };
  EXPECT_EQ(message(R"({"DRIVER_URL":5})"), "settings.DRIVER_URL: is not an http or https URL");
  EXPECT_EQ(message(R"({"DRIVER_URL":"file:///etc/shadow"})"),
            "settings.DRIVER_URL: is not an http or https URL");
  EXPECT_EQ(message(R"({"DRIVER_URL":"http://a/ b"})"), "settings.DRIVER_URL: is not an http or https URL");
  EXPECT_EQ(message(R"({"installGridND":"perhaps"})"), "settings.installGridND: is not true or false");
  EXPECT_EQ(message(R"({"DriverType":"OpenCL"})"), "settings.DriverType: is neither CUDA nor GRID");
  EXPECT_EQ(message("[]"), "settings: is not an object");
  EXPECT_THAT(message("{'installGridNC': True}"), HasSubstr("settings: not JSON"));
}

Outcome ended(int code) {
  Outcome outcome;
  outcome.code = code;
  outcome.message = "said";
  outcome.warnings = {"w"};
  return outcome;
}

TEST(RecordTest, StatesFollowWhatIsDocumented) {
  const Record creating = begin(kLinux);
  EXPECT_EQ(name(creating.state), "Creating");
  EXPECT_EQ(retry(creating).error().code, ErrorCode::Conflict);
  EXPECT_EQ(update(creating, kLinux).error().code, ErrorCode::Conflict);

  const Record failed = finish(creating, ended(14));
  EXPECT_EQ(failed.state, State::Failed);
  const auto again = retry(failed);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->attempt, 2);
  EXPECT_EQ(again->state, State::Creating);

  const Record done = finish(*again, ended(0));
  EXPECT_EQ(done.state, State::Succeeded);
  EXPECT_EQ(retry(done).error().code, ErrorCode::Conflict);
  Request newer = kLinux;
  newer.settings = R"({"driverVersion":"550"})";
  EXPECT_EQ(update(done, newer)->attempt, 3);
  newer.type = kWindowsType;
  EXPECT_EQ(update(done, newer).error().code, ErrorCode::InvalidArgument);

  const auto going = extension::remove(done);
  ASSERT_TRUE(going);
  EXPECT_EQ(name(going->state), "Deleting");
  EXPECT_EQ(extension::remove(*going).error().code, ErrorCode::Conflict);
  EXPECT_EQ(finish(*going, ended(14)).state, State::Failed);
}

TEST(RecordTest, WindowsCode1IsASuccessThatWantsARestartAndLinuxs1IsNot) {
  EXPECT_TRUE(succeeded(ended(1), GuestOs::Windows));
  EXPECT_FALSE(succeeded(ended(1), GuestOs::Linux));
}

TEST(RecordTest, ARecordIsReadBackAsItWas) {
  Record record = begin(kLinux);
  EXPECT_EQ(recordFromJson(toJson(record)), record);
  record = finish(record, ended(12));
  EXPECT_EQ(recordFromJson(toJson(record)), record);
  for (const char* text : {"", "{}", "[]", R"({"name":"x"})"}) EXPECT_FALSE(recordFromJson(text)) << text;
}

}  // namespace
}  // namespace berth::vm::extension
