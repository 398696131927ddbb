#include "http/unix_listener.h"

#include <fstream>
#include <optional>

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/testing/raw_client.h"
#include "http/testing/temp_dir.h"

namespace berth::http {
namespace {

using testing::TempDir;

std::optional<mode_t> modeOf(const std::string& path) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_mode & mode_t{07777};
}

TEST(UnixListenerTest, TheSocketHasMode0660AndGoesWithItsOwner) {
  const TempDir dir;
  {
    const auto listener = listenUnix(dir.at("s"), "");
    ASSERT_TRUE(listener) << listener.error().message;
    EXPECT_EQ(modeOf(dir.at("s")), mode_t{0660});
    EXPECT_FALSE(modeOf(dir.at("s.new")));
  }
  EXPECT_FALSE(modeOf(dir.at("s")));
}

TEST(UnixListenerTest, ASocketThatNobodyServesIsReplaced) {
  const TempDir dir;
  testing::leaveStaleSocket(dir.at("s"));
  ASSERT_TRUE(modeOf(dir.at("s")));
  const auto listener = listenUnix(dir.at("s"), "");
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_TRUE(testing::RawClient(dir.at("s")).connected());
}

TEST(UnixListenerTest, ASecondDaemonIsRefusedAndTheFirstKeepsItsSocket) {
  const TempDir dir;
  const auto first = listenUnix(dir.at("s"), "");
  ASSERT_TRUE(first);
  {
    const auto second = listenUnix(dir.at("s"), "");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::Conflict);
  }
  EXPECT_TRUE(testing::RawClient(dir.at("s")).connected());
}

TEST(UnixListenerTest, AServerThatTakesNoLockIsNotReplacedEither) {
  const TempDir dir;
  const os::UniqueFd foreign = testing::listenPlainly(dir.at("s"));
  const auto listener = listenUnix(dir.at("s"), "");
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, ErrorCode::Conflict);
}

TEST(UnixListenerTest, AFileThatIsNoSocketStays) {
  const TempDir dir;
  std::ofstream(dir.at("s")) << "precious";
  const auto listener = listenUnix(dir.at("s"), "");
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, ErrorCode::Conflict);
  EXPECT_TRUE(modeOf(dir.at("s")));
}

TEST(UnixListenerTest, AnUnknownGroupAndALongPathAreInvalidAndLeaveNothing) {
  const TempDir dir;
  const auto group = listenUnix(dir.at("s"), "no-such-group-here");
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().code, ErrorCode::InvalidArgument);
  EXPECT_FALSE(modeOf(dir.at("s")));
  const auto longer = listenUnix(dir.at(std::string(120, 'x')), "");
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, ErrorCode::InvalidArgument);
}

TEST(UnixListenerTest, TheSocketGetsTheGroup) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may give a file to any group";
  const ::group* daemon = ::getgrnam("daemon");
  if (daemon == nullptr) GTEST_SKIP() << "no group named daemon";
  const gid_t wanted = daemon->gr_gid;
  const TempDir dir;
  const auto listener = listenUnix(dir.at("s"), "daemon");
  ASSERT_TRUE(listener) << listener.error().message;
  struct stat info{};
  ASSERT_EQ(::lstat(dir.at("s").c_str(), &info), 0);
  EXPECT_EQ(info.st_gid, wanted);
}

}  // namespace
}  // namespace berth::http
