#include "os/pidfd.h"

#include <chrono>
#include <future>
#include <memory>

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "os/process.h"

namespace berth::os {
namespace {

using std::chrono::steady_clock;

steady_clock::time_point soon() { return steady_clock::now() + std::chrono::seconds(20); }

class PidFdTest : public testing::Test {
 protected:
  PidFdTest() {
    ProcessSpec spec;
    spec.argv = {"/bin/sleep", "1000"};
    process_ = runner_.spawn(spec, "/dev/null").value();
  }
  ~PidFdTest() override {
    EXPECT_TRUE(process_->signal(SIGKILL));
    EXPECT_TRUE(process_->waitExit(soon()));
  }

  PosixProcessRunner runner_;
  std::unique_ptr<Process> process_;
};

TEST_F(PidFdTest, TheEndOfAProcessIsSeenByWhoeverHoldsIt) {
  const auto held = PidFd::open(process_->id());
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_FALSE(held->exited());
  EXPECT_FALSE(held->waitExit(steady_clock::now()));
  ASSERT_TRUE(held->signal(SIGKILL));
  EXPECT_TRUE(held->waitExit(soon()));
  EXPECT_TRUE(held->exited());
}

TEST_F(PidFdTest, AWatchedProcessIsAnnouncedOnce) {
  const auto watcher = ProcessWatcher::create();
  ASSERT_TRUE(watcher);
  std::promise<ProcessId> ended;
  ASSERT_TRUE((*watcher)->watch(process_->id(), [&](const ProcessId& id) { ended.set_value(id); }));
  EXPECT_EQ((*watcher)->watch(process_->id(), [](const ProcessId&) {}).error().code, ErrorCode::Conflict);
  ASSERT_TRUE(process_->signal(SIGKILL));
  EXPECT_EQ(ended.get_future().get(), process_->id());
}

TEST_F(PidFdTest, AnUnwatchedProcessIsNotAnnounced) {
  auto watcher = ProcessWatcher::create();
  ASSERT_TRUE(watcher);
  bool called = false;
  ASSERT_TRUE((*watcher)->watch(process_->id(), [&](const ProcessId&) { called = true; }));
  (*watcher)->unwatch(process_->id());
  ASSERT_TRUE(process_->signal(SIGKILL));
  ASSERT_TRUE(process_->waitExit(soon()));
  watcher->reset();
  EXPECT_FALSE(called);
}

TEST_F(PidFdTest, ACallbackMayUnwatch) {
  const auto watcher = ProcessWatcher::create();
  ASSERT_TRUE(watcher);
  std::promise<void> done;
  ASSERT_TRUE((*watcher)->watch(process_->id(), [&](const ProcessId& id) {
    (*watcher)->unwatch(id);
    done.set_value();
  }));
  ASSERT_TRUE(process_->signal(SIGKILL));
  done.get_future().get();
}

TEST_F(PidFdTest, AnotherProcessWithThePidIsNotTakenForTheOneThatHadIt) {
  ProcessId earlier = process_->id();
  earlier.start_ticks -= 1;
  const auto watcher = ProcessWatcher::create();
  EXPECT_EQ((*watcher)->watch(earlier, [](const ProcessId&) {}).error().code, ErrorCode::NotFound);
  EXPECT_EQ(PidFd::open(earlier).error().code, ErrorCode::NotFound);
}

}  // namespace
}  // namespace berth::os
