#include "vm/extension/runner.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/process.h"
#include "vm/extension/fake_guest.h"
#include "vm/extension/guest_scripts.h"
#include "vm/fake_hypervisor.h"

namespace berth::vm::extension {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const VmName kVm("vm1");
constexpr std::chrono::milliseconds kNoPause{0};

Deadline in(int seconds) { return std::chrono::steady_clock::now() + std::chrono::seconds(seconds); }

/// A bundle of two files in a folder of the test's.
class InstallerTest : public testing::Test {
 protected:
  InstallerTest() {
    std::string pattern = (fs::temp_directory_path() / "berth-extension-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    hypervisor_.domains[kVm].state = DomainState::Running;
  }
  ~InstallerTest() override { fs::remove_all(folder_); }

  void speakTo(FakeGuest& guest) {
    hypervisor_.domains[kVm].agent = [&guest](const std::string& text) -> Result<std::string> {
      return guest(text);
    };
  }

  Bundle bundle(const char* type) {
    std::ofstream(folder_ / "install.sh") << std::string(kAgentWriteChunk + 1, 'x');
    std::ofstream(folder_ / "bundle.json")
        << R"({"type":")" << type
        << R"(","version":"535.1","systems":["Ubuntu 22.04 LTS","Windows Server 2019"],)"
        << R"("install":"install.sh","arguments":["--quick"],"remove":"install.sh"})";
    os::ProcessSpec sums;
    sums.argv = {"sha256sum", "install.sh"};
    sums.working_directory = folder_;
    std::ofstream(folder_ / "SHA256SUMS") << runner_.run(sums, in(20))->output;
    auto read = readBundle(folder_);
    EXPECT_TRUE(read) << read.error().message;
    return *read;
  }

  Job job(const char* type, bool with_bundle = true) {
    Job result;
    result.record = begin({"gpu", kPublisher, type, "1", ""});
    if (with_bundle) result.offer.bundles = {bundle(type)};
    return result;
  }

  Result<Outcome> install(const Job& what, std::chrono::milliseconds time = std::chrono::seconds(20)) {
    GuestAgent agent(hypervisor_, kVm);
    return Installer(agent, runner_, kNoPause)
        .install(
            what, [this](int percent, const std::string&) { percents_.push_back(percent); },
            std::chrono::steady_clock::now() + time);
  }

  fs::path folder_;
  FakeHypervisor hypervisor_;
  os::PosixProcessRunner runner_;
  std::vector<int> percents_;
};

TEST_F(InstallerTest, ABundleIsCopiedCheckedRunAndItsDriverReported) {
  FakeGuest guest(kUbuntu);
  guest.answers["status"] = {{0, "state=none\nlog:\n"},
                             {0, "state=running\nlog:\nunpacking\n"},
                             {0, "state=exited\ncode=0\nlog:\nunpacking\ndone\n"}};
  guest.answers["version"] = {{0, "version=535.183.01\n"}};
  speakTo(guest);
  const auto outcome = install(job(kLinuxType));

  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->code, kDone);
  EXPECT_EQ(outcome->message, "driver 535.183.01 is installed");
  EXPECT_EQ(outcome->bundle, "535.1");
  EXPECT_EQ(outcome->output, "unpacking\ndone\n");
  EXPECT_THAT(guest.verbs, ElementsAre("mkdir", "status", "inspect", "mkdir", "check", "start", "status",
                                       "status", "version", "note"));
  const std::string folder = "/var/lib/berth-extension/gpu-1";
  EXPECT_EQ(guest.files[folder + "/install.sh"].size(), kAgentWriteChunk + 1);
  EXPECT_THAT(guest.programs, Contains(ElementsAre("/bin/sh", "/var/lib/berth-extension/berth.sh", "start",
                                                   folder, "bundle", "install.sh", "--quick")));
  EXPECT_TRUE(std::ranges::is_sorted(percents_));
}

TEST_F(InstallerTest, AWindowsGuestIsSpokenToInItsOwnWay) {
  FakeGuest guest(kWindows);
  guest.answers["status"] = {{0, "state=none\r\nlog:\r\n"}, {0, "state=exited\r\ncode=1\r\nlog:\r\n"}};
  guest.answers["version"] = {{0, "version=511.65\r\n"}};
  speakTo(guest);
  Job what = job(kWindowsType, false);
  what.settings.driver_url = "http://us.download.nvidia.com/511.65.exe";
  what.settings.certificate_url = "https://go.microsoft.com/fwlink/?linkid=871664";
  const auto outcome = install(what);

  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->code, kWindowsReboot);
  EXPECT_TRUE(outcome->reboot);
  EXPECT_EQ(finish(what.record, *outcome).state, State::Succeeded);
  EXPECT_EQ(outcome->message, "driver 511.65 is installed; the guest must restart to use it");
  const std::string folder = R"(C:\Packages\Plugins\Microsoft.HpcCompute.NvidiaGpuDriverWindows)";
  EXPECT_THAT(
      guest.programs,
      Contains(ElementsAre(R"(C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe)", "-NoProfile",
                           "-ExecutionPolicy", "Bypass", "-File", folder + R"(\berth.ps1)", "start",
                           folder + R"(\gpu-1)", "download", "http://us.download.nvidia.com/511.65.exe",
                           "https://go.microsoft.com/fwlink/?linkid=871664")));
  EXPECT_EQ(guest.files[folder + R"(\berth.ps1)"], kWindowsScript);
  EXPECT_THAT(guest.programs[0], ElementsAre(R"(C:\Windows\System32\cmd.exe)", "/c",
                                             "if not exist " + folder + " mkdir " + folder));
}

TEST_F(InstallerTest, AWindowsInstallerThatFailsOrWaitsForARestartIsToldByItsCode) {
  for (const auto& [said, code, words] :
       std::vector<std::tuple<std::string, int, std::string>>{{"-52", -52, "must restart before"},
                                                              {"840", 840, "did not finish in time"},
                                                              {"1603", 100, "failed"}}) {
    FakeGuest guest(kWindows);
    guest.answers["status"] = {{0, "state=none\nlog:\n"}, {0, "state=exited\ncode=" + said + "\nlog:\n"}};
    speakTo(guest);
    const auto outcome = install(job(kWindowsType));
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->code, code);
    EXPECT_THAT(outcome->message, HasSubstr(words));
  }
}

TEST_F(InstallerTest, AnInstallerThatFailsIsExplained) {
  FakeGuest guest(kUbuntu);
  guest.answers["status"] = {
      {0, "state=none\nlog:\n"},
      {0, "state=exited\ncode=100\nlog:\nE: Could not get lock /var/lib/dpkg/lock-frontend\n"}};
  speakTo(guest);
  const auto outcome = install(job(kLinuxType));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->code, kLinuxFailed);
  EXPECT_THAT(outcome->message, HasSubstr("package manager"));
  EXPECT_THAT(outcome->remedy, HasSubstr("retry"));
  EXPECT_THAT(guest.programs.back(), Contains("note"));
}

TEST_F(InstallerTest, AGuestWithoutGpuEndsWith11AndNothingIsCopied) {
  FakeGuest guest(kUbuntu);
  guest.answers["inspect"] = {{0, "gpu=0x10de:0x10f8:0x040300\ngpu=0x1234:0x11e8:0x00ff00\n"}};
  speakTo(guest);
  Job what = job(kLinuxType);
  const auto outcome = install(what);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->code, kLinuxNoGpu);
  EXPECT_THAT(guest.verbs, Not(Contains("start")));

  what.also_gpus = {{0x1234, 0x11e8}};  // A stand-in counts where the configuration says so.
  guest.answers["status"] = {{0, "state=none\nlog:\n"}, {0, "state=exited\ncode=0\nlog:\n"}};
  EXPECT_EQ(install(what)->code, kDone);
}

TEST_F(InstallerTest, AnImageThatNothingIsForEndsWith12) {
  FakeGuest guest(kUbuntu);
  speakTo(guest);
  const auto outcome = install(job(kLinuxType, false));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->code, kLinuxNoImage);
  EXPECT_THAT(outcome->remedy, HasSubstr("put a bundle into the driver folder"));
}

TEST_F(InstallerTest, ABundleThatIsNotWhatItsChecksumsSayReachesNoGuest) {
  FakeGuest guest(kUbuntu);
  speakTo(guest);
  const Job what = job(kLinuxType);
  std::ofstream(folder_ / "install.sh") << "something else";
  const auto outcome = install(what);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->code, kLinuxFailed);
  EXPECT_THAT(outcome->message, HasSubstr("install.sh: FAILED"));
  EXPECT_THAT(guest.verbs, Not(Contains("start")));
}

TEST_F(InstallerTest, AnAttemptThatADaemonBeganIsGoneOnWithByTheNext) {
  FakeGuest guest(kUbuntu);
  guest.answers["status"] = {{0, "state=running\nlog:\n"}, {0, "state=exited\ncode=0\nlog:\n"}};
  speakTo(guest);
  const auto outcome = install(job(kLinuxType));
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->code, kDone);
  EXPECT_THAT(guest.verbs, Not(Contains("start")));
}

TEST_F(InstallerTest, AStopLeavesTheInstallerInTheGuestToTheNextDaemon) {
  FakeGuest guest(kUbuntu);
  guest.answers["status"] = {{0, "state=none\nlog:\n"}, {0, "state=running\nlog:\n"}};
  std::stop_source stopping;
  hypervisor_.domains[kVm].agent = [&](const std::string& text) -> Result<std::string> {
    std::string said = guest(text);
    if (!guest.verbs.empty() && guest.verbs.back() == "start") stopping.request_stop();
    return said;
  };
  GuestAgent agent(hypervisor_, kVm, stopping.get_token());
  const auto outcome =
      Installer(agent, runner_, kNoPause).install(job(kLinuxType), [](int, const std::string&) {}, in(20));
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().reason, "Stopped");
  EXPECT_EQ(guest.verbs.back(), "start");  // No failure is noted in the guest.
}

TEST_F(InstallerTest, AGuestThatRestartedInTheMiddleIsAFailureToRetry) {
  FakeGuest guest(kUbuntu);
  guest.answers["status"] = {{0, "state=none\nlog:\n"}, {0, "state=lost\nlog:\n"}};
  speakTo(guest);
  EXPECT_THAT(install(job(kLinuxType))->message, HasSubstr("restarted"));
}

TEST_F(InstallerTest, AnInstallerThatNeverEndsIsATimeoutByTheHandlersCode) {
  for (const auto& [type, os, code] :
       {std::tuple{kLinuxType, kUbuntu, kLinuxFailed}, std::tuple{kWindowsType, kWindows, kWindowsTimeout}}) {
    FakeGuest guest(os);
    guest.answers["status"] = {{0, "state=none\nlog:\n"}, {0, "state=running\nlog:\n"}};
    speakTo(guest);
    Job what = job(type, false);
    what.settings.driver_url = "http://a/b.run";
    const auto outcome = install(what, std::chrono::milliseconds(100));
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->code, code);
    EXPECT_THAT(outcome->message, HasSubstr("did not finish in time"));
  }
}

TEST_F(InstallerTest, AGuestWithoutAgentFailsAndAHypervisorThatIsAwayIsGoneOnWithLater) {
  const auto outcome = install(job(kLinuxType), std::chrono::milliseconds(50));
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->code, kLinuxFailed);
  EXPECT_THAT(outcome->remedy, HasSubstr("qemu-guest-agent"));

  FakeGuest guest(kUbuntu);
  speakTo(guest);
  hypervisor_.failures["agentCommand"] = Error{ErrorCode::Unavailable, "libvirtd does not answer", {}, {}};
  const auto away = install(job(kLinuxType));
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, ErrorCode::Unavailable);
}

TEST_F(InstallerTest, RemovalRunsTheBundlesOwnProgramAndForgetsTheFolder) {
  FakeGuest guest(kUbuntu);
  guest.answers["status"] = {{0, "state=none\nlog:\n"}, {0, "state=exited\ncode=0\nlog:\n"}};
  speakTo(guest);
  Job what = job(kLinuxType);
  Outcome installed;
  installed.bundle = "535.1";
  what.record = *extension::remove(finish(what.record, installed));
  GuestAgent agent(hypervisor_, kVm);
  Installer installer(agent, runner_, kNoPause);
  const auto silent = [](int, const std::string&) {};
  const auto outcome = installer.remove(what, silent, in(20));
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->message, "driver 535.1 was removed from the guest");
  EXPECT_THAT(guest.programs,
              Contains(ElementsAre("/bin/sh", "/var/lib/berth-extension/berth.sh", "start",
                                   "/var/lib/berth-extension/gpu-2", "bundle", "install.sh")));
  EXPECT_EQ(guest.verbs.back(), "forget");

  what.record.outcome->bundle.clear();
  EXPECT_THAT(installer.remove(what, silent, in(20))->message, HasSubstr("stays in the guest"));
}

TEST(GuestReportTest, WhateverAGuestAnswersIsText) {
  const GuestReport report = parseReport("a=1\r\nnothing\na=2\n=x\nlog:\nb=3\n");
  EXPECT_EQ(report.value("a"), "1");
  EXPECT_EQ(report.value("b"), "");
  EXPECT_EQ(report.log, "b=3\n");
  EXPECT_FALSE(
      seesGpu(parseReport("gpu=0x10de\ngpu=10de:1eb8:0x030000\ngpu=0x10de0:0x1:0x03\ngpu=:::\n"), {}));
}

/// The script for Linux guests, run on this machine: what it answers is what the installer reads.
class GuestScriptTest : public testing::Test {
 protected:
  GuestScriptTest() {
    std::string pattern = (fs::temp_directory_path() / "berth-guest-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    std::ofstream(script()) << kLinuxScript;
    fs::create_directories(attempt());
  }
  ~GuestScriptTest() override { fs::remove_all(folder_); }

  fs::path script() const { return folder_ / "berth.sh"; }
  fs::path attempt() const { return folder_ / "gpu-1"; }

  os::ProcessResult call(const std::vector<std::string>& arguments) {
    os::ProcessSpec shell;
    shell.argv = {"/bin/sh", script()};
    shell.argv.insert(shell.argv.end(), arguments.begin(), arguments.end());
    auto result = runner_.run(shell, in(20));
    EXPECT_TRUE(result);
    return result ? *result : os::ProcessResult{};
  }

  /// Until the installer has ended.
  GuestReport ended() {
    for (;;) {
      GuestReport report = parseReport(call({"status", attempt()}).output);
      if (report.value("state") != "running") return report;
    }
  }

  fs::path folder_;
  os::PosixProcessRunner runner_;
};

TEST_F(GuestScriptTest, AnInstallerRunsOnItsOwnOnceAndItsEndIsKept) {
  std::ofstream(attempt() / "install.sh") << "echo \"installing $1\"; echo again >>count; exit 12\n";
  EXPECT_EQ(parseReport(call({"status", attempt()}).output).value("state"), "none");
  EXPECT_TRUE(call({"start", attempt(), "bundle", "install.sh", "with blanks"}).status.success());
  const GuestReport report = ended();
  EXPECT_EQ(report.value("state"), "exited");
  EXPECT_EQ(report.value("code"), "12");
  EXPECT_EQ(report.log, "installing with blanks\n");
  EXPECT_TRUE(call({"start", attempt(), "bundle", "install.sh"}).status.success());
  EXPECT_EQ(ended().value("code"), "12");
  std::ifstream count(attempt() / "count");
  std::string line;
  std::getline(count, line);
  EXPECT_EQ(line, "again");
  EXPECT_FALSE(std::getline(count, line));

  EXPECT_TRUE(call({"forget", attempt()}).status.success());
  EXPECT_FALSE(fs::exists(attempt()));
}

TEST_F(GuestScriptTest, AnInstallerThatWasKilledIsLost) {
  std::ofstream(attempt() / "pid") << "999999999\n";
  EXPECT_EQ(ended().value("state"), "lost");
}

TEST_F(GuestScriptTest, FilesAreComparedWithTheirChecksumsInTheGuestToo) {
  std::ofstream(attempt() / "install.sh") << "hi\n";
  std::ofstream(attempt() / "SHA256SUMS")
      << "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4  install.sh\n";
  EXPECT_TRUE(call({"check", attempt()}).status.success());
  std::ofstream(attempt() / "install.sh") << "ho\n";
  const os::ProcessResult bad = call({"check", attempt()});
  EXPECT_FALSE(bad.status.success());
  EXPECT_THAT(bad.output + bad.errors, HasSubstr("did NOT match"));
}

TEST_F(GuestScriptTest, TheDevicesOfTheGuestAreListedWithVendorDeviceAndClass) {
  const GuestReport report = parseReport(call({"inspect"}).output);
  if (report.values.empty()) GTEST_SKIP() << "this machine has no PCI";
  EXPECT_THAT(report.value("gpu"), testing::ContainsRegex("^0x[0-9a-f]{4}:0x[0-9a-f]{4}:0x[0-9a-f]{6}$"));
  EXPECT_FALSE(call({"nonsense"}).status.success());
}

}  // namespace
}  // namespace berth::vm::extension
