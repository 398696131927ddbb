#include "os/process.h"

#include <chrono>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>
#include <signal.h>

#include "os/files.h"

namespace berth::os {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

steady_clock::time_point soon() { return steady_clock::now() + std::chrono::seconds(20); }

ProcessSpec shell(const std::string& script) {
  ProcessSpec spec;
  spec.argv = {"/bin/sh", "-c", script};
  return spec;
}

TEST(ProcessTest, BothOutputsAndTheExitStatusComeBack) {
  PosixProcessRunner runner;
  const auto result = runner.run(shell("echo out; echo err >&2; exit 3"), soon());
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->output, "out\n");
  EXPECT_EQ(result->errors, "err\n");
  EXPECT_EQ(result->status, (ExitStatus{3, 0}));
  EXPECT_EQ(describe(result->status), "exited with status 3");
}

TEST(ProcessTest, InputLargerThanAPipeGoesThrough) {
  PosixProcessRunner runner;
  ProcessSpec spec = shell("cat");
  spec.input = std::string(300000, 'x');
  EXPECT_EQ(runner.run(spec, soon()).value().output, spec.input);
}

TEST(ProcessTest, AProgramThatDoesNotReadItsInputIsNoFailure) {
  PosixProcessRunner runner;
  ProcessSpec spec = shell("exec 0<&-; echo done");
  spec.input = std::string(300000, 'x');
  EXPECT_EQ(runner.run(spec, soon()).value().output, "done\n");
}

TEST(ProcessTest, OutputOfExactlyTheLimitIsKeptAndOneByteMoreIsDropped) {
  PosixProcessRunner runner;
  ProcessSpec spec = shell("printf 12345");
  spec.output_limit = 5;
  EXPECT_FALSE(runner.run(spec, soon()).value().truncated);
  spec.output_limit = 4;
  const auto result = runner.run(spec, soon());
  EXPECT_TRUE(result.value().truncated);
  EXPECT_EQ(result.value().output, "1234");
}

TEST(ProcessTest, TheEnvironmentIsOursWithoutTheRemovedAndWithTheAdded) {
  const auto merged = mergeEnvironment({"A=1", "B=2", "C=3", "AB=4"}, {"A"}, {{"B", "9"}, {"D", ""}});
  EXPECT_EQ(merged, (std::vector<std::string>{"C=3", "AB=4", "B=9", "D="}));
}

TEST(ProcessTest, EnvironmentAndFolderReachTheProgram) {
  PosixProcessRunner runner;
  ProcessSpec spec = shell("echo \"$BERTH_TEST\"; pwd");
  spec.env = {{"BERTH_TEST", "a b"}};
  spec.working_directory = "/";
  EXPECT_EQ(runner.run(spec, soon()).value().output, "a b\n/\n");
}

TEST(ProcessTest, NoDescriptorOfOursReachesTheProgram) {
  PosixProcessRunner runner;
  const int leaked = ::dup(0);  // Without close-on-exec, as a library would.
  ASSERT_GE(leaked, 3);
  const auto result =
      runner.run(shell("test -e /proc/self/fd/" + std::to_string(leaked) + " && echo leaked"), soon());
  ::close(leaked);
  EXPECT_EQ(result.value().output, "");
}

TEST(ProcessTest, AtTheDeadlineTheWholeFamilyIsKilled) {
  PosixProcessRunner runner;
  // The grandchild keeps the pipe open; it must not keep the call, nor live on. It says its pid first.
  std::string pattern = (fs::temp_directory_path() / "berth-process-XXXXXX").string();
  const fs::path folder = ::mkdtemp(pattern.data());
  const std::string script = "sleep 1000 & echo $! > " + (folder / "pid").string() + "; wait";
  // On a busy machine a short deadline may pass before the grandchild is there.
  for (std::chrono::milliseconds limit(100); readFile(folder / "pid", 100).value_or("").empty(); limit *= 2) {
    const auto result = runner.run(shell(script), steady_clock::now() + limit);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Timeout);
  }
  const std::string grandchild = readFile(folder / "pid", 100).value();
  fs::remove_all(folder);
  const auto left = PidFd::open(std::stol(grandchild));
  EXPECT_TRUE(!left || left->waitExit(soon()));
}

TEST(ProcessTest, AnOutputHeldOpenByABackgroundProcessDoesNotHoldTheCall) {
  PosixProcessRunner runner;
  const auto result = runner.run(shell("sleep 1000 & echo $!"), soon());
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(::kill(static_cast<pid_t>(std::stol(result->output)), SIGKILL), 0);
}

TEST(ProcessTest, AMissingProgramIsNotFoundByName) {
  PosixProcessRunner runner;
  ProcessSpec spec;
  spec.argv = {"/nonexistent/program"};
  const auto result = runner.run(spec, soon());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::NotFound);
  EXPECT_EQ(result.error().message, "start /nonexistent/program: No such file or directory");
}

class SpawnTest : public testing::Test {
 protected:
  SpawnTest() {
    std::string pattern = (fs::temp_directory_path() / "berth-spawn-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~SpawnTest() override { fs::remove_all(folder_); }

  fs::path folder_;
  PosixProcessRunner runner_;
};

TEST_F(SpawnTest, OutputsAreAppendedToTheLogAndTheEndIsSeen) {
  ASSERT_TRUE(writeFileAtomically(folder_ / "log", "before\n", 0600));
  auto process = runner_.spawn(shell("echo out; echo err >&2"), folder_ / "log");
  ASSERT_TRUE(process) << process.error().message;
  EXPECT_TRUE((*process)->waitExit(soon()));
  EXPECT_TRUE((*process)->exited());
  EXPECT_EQ(readFile(folder_ / "log", 100).value(), "before\nout\nerr\n");
}

TEST_F(SpawnTest, ALiveProcessIsAdoptedAndEndedByItsIdentity) {
  auto process = runner_.spawn(shell("sleep 1000"), folder_ / "log");
  ASSERT_TRUE(process);
  auto adopted = runner_.adopt((*process)->id());
  ASSERT_TRUE(adopted) << adopted.error().message;
  EXPECT_EQ((*adopted)->waitExit(steady_clock::now()).error().code, ErrorCode::Timeout);
  EXPECT_TRUE((*adopted)->signal(SIGTERM));
  EXPECT_TRUE((*process)->waitExit(soon()));
  EXPECT_TRUE((*adopted)->signal(SIGTERM)) << "signalling what has ended succeeds";
}

TEST_F(SpawnTest, AProcessWithAReusedPidIsNotAdopted) {
  auto process = runner_.spawn(shell("sleep 1000"), folder_ / "log");
  ASSERT_TRUE(process);
  ProcessId earlier = (*process)->id();
  earlier.start_ticks -= 1;
  EXPECT_EQ(runner_.adopt(earlier).error().code, ErrorCode::NotFound);
  ASSERT_TRUE((*process)->signal(SIGKILL));
  EXPECT_TRUE((*process)->waitExit(soon()));
}

}  // namespace
}  // namespace berth::os
