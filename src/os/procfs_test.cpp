#include "os/procfs.h"

#include <algorithm>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

namespace berth::os {
namespace {

constexpr const char* kRest = " S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 2\n";

TEST(ProcfsTest, AProgramNameWithBlanksAndParenthesesDoesNotShiftTheFields) {
  const auto stat = parseStat(std::string("42 (a) b) (c)") + kRest);
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->command, "a) b) (c");
  EXPECT_EQ(stat->id, (ProcessId{42, 12345}));
  EXPECT_EQ(stat->parent, 7);
  EXPECT_EQ(stat->state, 'S');
}

TEST(ProcfsTest, AStatLineThatEndsBeforeTheStartTimeIsCorrupt) {
  EXPECT_TRUE(parseStat("1 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 99"));
  const auto cut = parseStat("1 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18");
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, ErrorCode::Corrupt);
}

TEST(ProcfsTest, BothCgroupVersionsAreRead) {
  const auto entries = parseCgroup("4:cpu,cpuacct:/docker/a:b\n0::/berth/c1\n");
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 2U);
  EXPECT_EQ((*entries)[0], (CgroupEntry{4, {"cpu", "cpuacct"}, "/docker/a:b"}));
  EXPECT_EQ((*entries)[1], (CgroupEntry{0, {}, "/berth/c1"}));
  EXPECT_FALSE(parseCgroup("0:/berth\n"));
}

TEST(ProcfsTest, ArgumentsMayBeEmptyAndTheLastNulIsNoArgument) {
  using std::string_literals::operator""s;
  EXPECT_EQ(parseCommandLine("a\0\0b\0"s), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_TRUE(parseCommandLine("").empty());
}

TEST(ProcfsTest, ThisProcessIsDescribed) {
  const Procfs procfs;
  const auto stat = procfs.stat(::getpid());
  ASSERT_TRUE(stat) << stat.error().message;
  EXPECT_EQ(stat->id.pid, ::getpid());
  EXPECT_EQ(stat->parent, ::getppid());
  EXPECT_EQ(procfs.executableName(::getpid()).value(), "os_test");
  EXPECT_NE(procfs.commandLine(::getpid()).value().front().find("os_test"), std::string::npos);
  EXPECT_EQ(procfs.bootId().value().size(), 36U);
  const auto all = procfs.processes();
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(std::ranges::count(*all, ::getpid()), 1);
  const auto environment = procfs.environment(::getpid());
  ASSERT_TRUE(environment) << environment.error().message;
  const auto path = [](const std::string& entry) { return entry.starts_with("PATH="); };
  EXPECT_TRUE(std::ranges::any_of(*environment, path));
}

TEST(ProcfsTest, TheLastNamespacePidIsTheProcessesOwn) {
  const auto pids = parseNamespacePids("Name:\tx\nNSpid:\t300\t7\t1\nNSpgid:\t9\n");
  ASSERT_TRUE(pids);
  EXPECT_EQ(*pids, (std::vector<std::int64_t>{300, 7, 1}));
  EXPECT_FALSE(parseNamespacePids("Name:\tx\n"));
  EXPECT_FALSE(parseNamespacePids("NSpid:\t\n"));
  EXPECT_FALSE(parseNamespacePids("NSpid:\t1\tx\n"));
}

TEST(ProcfsTest, AMappingIsTheFileOfThatInodeAndNameOnly) {
  const std::string maps =
      "55d0-55d1 r-xp 00001234 fe:01 77                        /usr/lib/a.so\n"
      "7f00-7f01 rw-p 00000000 00:00 0 \n"
      "7f02-7f03 r-xp 00000000 fe:01 42                        /x/lib g.so";
  EXPECT_TRUE(mapsFile(maps, 77, "a.so"));
  EXPECT_TRUE(mapsFile(maps, 42, "lib g.so"));
  EXPECT_FALSE(mapsFile(maps, 77, "lib g.so"));
  EXPECT_FALSE(mapsFile(maps, 7, "a.so"));
  EXPECT_FALSE(mapsFile(maps, 77, ".so"));
  EXPECT_FALSE(mapsFile("", 0, ""));
  EXPECT_TRUE(mapsFile("1-2 r-xp 0 fe:01 9 /usr/lib/a.so (deleted)\n", 9, "a.so")) << "a package was updated";
}

TEST(ProcfsTest, ThisProcessHasItselfMappedAndKnowsItsOwnNamespace) {
  const Procfs procfs;
  EXPECT_TRUE(procfs.hasMapped(::getpid(), std::filesystem::read_symlink("/proc/self/exe")).value());
  EXPECT_FALSE(procfs.hasMapped(::getpid(), "/etc/passwd").value());
  EXPECT_EQ(procfs.inOwnNamespace(::getpid()).value().pid, ::getpid());
}

TEST(ProcfsTest, AProcessThatIsNotThereIsNotFound) {
  constexpr std::int64_t kPastEveryPid = 1LL << 40;
  EXPECT_EQ(Procfs().stat(kPastEveryPid).error().code, ErrorCode::NotFound);
}

}  // namespace
}  // namespace berth::os
