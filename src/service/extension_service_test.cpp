// The GPU driver extension through the service: what is asked for, what lasts, and how it ends.
#include "service/extension_service.h"

#include <fstream>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/process.h"
#include "service/vm_testing.h"
#include "vm/extension/fake_guest.h"

namespace berth::service {
namespace {

namespace extension = vm::extension;
using extension::State;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::VmBox;

constexpr const char* kExited = "state=exited\ncode=0\nlog:\n";

class ExtensionServiceTest : public ::testing::Test {
 protected:
  ExtensionServiceTest() {
    boot();
    EXPECT_TRUE(box_.create("vm1"));
    guestRuns();
  }

  void boot() {
    service_ = std::make_unique<ExtensionService>(
        ExtensionService::Parts{*box_.desk,
                                box_.hypervisor,
                                runner_,
                                drivers_.path(),
                                {},
                                std::chrono::milliseconds(0),
                                stopping_.get_token(),
                                [this](const std::string& vm, auto) { asked_again_.push_back(vm); }});
  }
  void restart() {
    service_.reset();
    stopping_ = std::stop_source();
    box_.restart();
    boot();
  }

  void guestRuns() {
    box_.hypervisor.domains[vm::VmName("vm1")].agent =
        [this](const std::string& text) -> Result<std::string> {
      if (meanwhile_ && guest_.verbs == std::vector<std::string>(guest_.verbs.size(), "mkdir")) meanwhile_();
      return guest_(text);
    };
  }
  /// The installer in the guest ends with `code`; once for each attempt.
  void installerEndsWith(int code) {
    guest_.answers["status"] = {{0, "state=none\nlog:\n"},
                                {0, "state=exited\ncode=" + std::to_string(code) + "\nlog:\n"}};
    guest_.answers["version"] = {{0, "version=535.1\n"}};
  }

  static extension::Request wanting(const std::string& name, const std::string& url = "http://x/a.run") {
    return {name, extension::kPublisher, extension::kLinuxType, "1.8", R"({"DRIVER_URL":")" + url + R"("})"};
  }
  /// The one extension of vm1.
  extension::Record only() {
    const auto all = service_->list("vm1");
    if (!all || all->size() != 1) throw std::runtime_error("vm1 has not one extension");
    return all->front().record;
  }

  VmBox box_{2};
  ledger::testing::TempDir drivers_;
  os::PosixProcessRunner runner_;
  extension::FakeGuest guest_{extension::kUbuntu};
  std::stop_source stopping_;
  std::vector<std::string> asked_again_;
  std::function<void()> meanwhile_;
  std::unique_ptr<ExtensionService> service_;
};

TEST_F(ExtensionServiceTest, AnExtensionIsCreatingUntilItIsTendedAndThenItsDriverIsKnown) {
  installerEndsWith(0);
  const auto put = service_->put("vm1", wanting("gpu"));
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(put->record.state, State::Creating);
  EXPECT_THAT(asked_again_, Contains("vm1"));
  std::string seen;
  meanwhile_ = [&] { seen = service_->list("vm1")->front().message; };
  service_->tend("vm1");
  EXPECT_EQ(seen, "waiting for the guest's agent");
  EXPECT_EQ(only().state, State::Succeeded) << only().outcome->message;
  EXPECT_EQ(only().outcome->driver_version, "535.1");
  EXPECT_EQ(box_.desk->events(0, 1000)->back().kind, "vm.extension");
}

TEST_F(ExtensionServiceTest, AVmWithoutGpuAndTheOtherSystemsTypeAreRefused) {
  ASSERT_TRUE(box_.create("plain", "Plain"));
  EXPECT_EQ(service_->put("plain", wanting("gpu")).error().reason, extension::kNoGpu);
  extension::Request windows = wanting("gpu");
  windows.type = extension::kWindowsType;
  EXPECT_EQ(service_->put("vm1", windows).error().reason, extension::kOtherOs);
  EXPECT_EQ(service_->put("none", wanting("gpu")).error().reason, "UnknownVm");
  EXPECT_EQ(service_->list("none").error().reason, "UnknownVm");
  EXPECT_THAT(*service_->list("vm1"), IsEmpty());
}

TEST_F(ExtensionServiceTest, ATypeThatIsNotNamedIsThatOfTheVmsSystem) {
  extension::Request request = wanting("gpu");
  request.type.clear();
  ASSERT_TRUE(service_->put("vm1", request));
  EXPECT_EQ(only().request.type, extension::kLinuxType);
}

TEST_F(ExtensionServiceTest, TheSameRequestAgainChangesNothing) {
  installerEndsWith(0);
  ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  service_->tend("vm1");
  const extension::Record before = only();
  const auto again = service_->put("vm1", wanting("gpu"));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->record, before);
  EXPECT_EQ(only(), before);
}

TEST_F(ExtensionServiceTest, OtherSettingsAreInstalledAsAnAttemptOfTheirOwn) {
  installerEndsWith(0);
  ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  EXPECT_EQ(service_->put("vm1", wanting("gpu", "http://x/b.run")).error().code, ErrorCode::Conflict);
  service_->tend("vm1");
  ASSERT_TRUE(service_->put("vm1", wanting("gpu", "http://x/b.run")));
  EXPECT_EQ(only().attempt, 2);
  EXPECT_EQ(only().state, State::Creating);
}

TEST_F(ExtensionServiceTest, ASecondOneOfTheSameTypeIsAConflictThatNamesTheFirst) {
  ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  const auto second = service_->put("vm1", wanting("other"));
  EXPECT_EQ(second.error().code, ErrorCode::Conflict);
  EXPECT_THAT(second.error().message, HasSubstr("has extension gpu of type"));
  EXPECT_EQ(only().request.name, "gpu");
}

TEST_F(ExtensionServiceTest, WhatWaitsIsGoneOnWithAfterARestart) {
  installerEndsWith(0);
  ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  restart();
  EXPECT_EQ(only().state, State::Creating);
  service_->tend("vm1");
  EXPECT_EQ(only().state, State::Succeeded);
  restart();
  EXPECT_EQ(only().outcome->driver_version, "535.1");
}

TEST_F(ExtensionServiceTest, AStopInTheMiddleIsNoFailureAndTheNextDaemonGoesOn) {
  ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  meanwhile_ = [&] { stopping_.request_stop(); };
  service_->tend("vm1");
  EXPECT_EQ(only().state, State::Creating);
  meanwhile_ = {};
  restart();
  guest_.answers["status"] = {{0, kExited}};
  service_->tend("vm1");
  EXPECT_EQ(only().state, State::Succeeded);
}

TEST_F(ExtensionServiceTest, AVmThatIsOffWaitsWithItsExtension) {
  ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  ASSERT_TRUE(box_.done(box_.vms->stop("vm1", Force::Yes, DryRun::No)));
  asked_again_.clear();
  service_->tend("vm1");
  EXPECT_EQ(only().state, State::Creating);
  EXPECT_THAT(asked_again_, Contains("vm1"));
  EXPECT_THAT(guest_.verbs, IsEmpty());
}

TEST_F(ExtensionServiceTest, AVmMadeAgainUnderAnOldNameHasNone) {
  ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  ASSERT_TRUE(box_.done(box_.vms->remove("vm1", DryRun::No)));
  ASSERT_TRUE(box_.create("vm1"));
  EXPECT_THAT(*service_->list("vm1"), IsEmpty());
  guestRuns();
  service_->tend("vm1");
  EXPECT_THAT(guest_.verbs, IsEmpty());
}

TEST_F(ExtensionServiceTest, AVmThatIsMadeAgainInTheMiddleDoesNotInheritTheOutcome) {
  installerEndsWith(0);
  ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  meanwhile_ = [this, done = false]() mutable {
    if (std::exchange(done, true)) return;
    ASSERT_TRUE(box_.done(box_.vms->remove("vm1", DryRun::No)));
    ASSERT_TRUE(box_.create("vm1"));
    ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  };
  service_->tend("vm1");
  EXPECT_EQ(only().state, State::Creating);
}

TEST_F(ExtensionServiceTest, AFailureSaysWhyAndCanBeRetried) {
  installerEndsWith(100);
  ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  service_->tend("vm1");
  EXPECT_EQ(only().state, State::Failed);
  EXPECT_EQ(only().outcome->code, extension::kLinuxFailed);
  installerEndsWith(0);
  ASSERT_TRUE(service_->retry("vm1", "gpu"));
  EXPECT_EQ(only().attempt, 2);
  service_->tend("vm1");
  EXPECT_EQ(only().state, State::Succeeded);
  EXPECT_EQ(service_->retry("vm1", "gpu").error().code, ErrorCode::Conflict);
  EXPECT_EQ(service_->retry("vm1", "none").error().reason, "UnknownExtension");
}

TEST_F(ExtensionServiceTest, ARemovedOneIsGoneOnceTheGuestIsRidOfIt) {
  installerEndsWith(0);
  ASSERT_TRUE(service_->put("vm1", wanting("gpu")));
  service_->tend("vm1");
  ASSERT_TRUE(service_->remove("vm1", "gpu"));
  EXPECT_EQ(only().state, State::Deleting);
  EXPECT_EQ(service_->put("vm1", wanting("gpu")).error().code, ErrorCode::Conflict);
  service_->tend("vm1");
  EXPECT_THAT(*service_->list("vm1"), IsEmpty());
  EXPECT_EQ(guest_.verbs.back(), "forget");
  EXPECT_EQ(service_->remove("vm1", "gpu").error().reason, "UnknownExtension");
}

TEST_F(ExtensionServiceTest, ADamagedCatalogueDoesNotHideTheOthersAndASettingWithoutEffectIsTold) {
  installerEndsWith(0);
  std::ofstream(drivers_.path() + "/broken.json") << "{";
  extension::Request request = wanting("gpu");
  request.settings = R"({"DRIVER_URL":"http://x/a.run","updateOS":true})";
  ASSERT_TRUE(service_->put("vm1", request));
  service_->tend("vm1");
  EXPECT_EQ(only().state, State::Succeeded);
  EXPECT_THAT(only().outcome->warnings, Contains(HasSubstr("updateOS has no effect")));
}

}  // namespace
}  // namespace berth::service
