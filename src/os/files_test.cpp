#include "os/files.h"

#include <filesystem>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace berth::os {
namespace {

namespace fs = std::filesystem;

class FilesTest : public testing::Test {
 protected:
  FilesTest() {
    std::string pattern = (fs::temp_directory_path() / "berth-files-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FilesTest() override { fs::remove_all(folder_); }

  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  static mode_t modeOf(const fs::path& path) {
    struct stat found{};
    EXPECT_EQ(::stat(path.c_str(), &found), 0);
    return found.st_mode & 07777U;
  }

  fs::path folder_;
};

TEST_F(FilesTest, WhatIsWrittenIsReadBackWithItsModeAndNothingElseIsLeft) {
  const std::string content("a\0b", 3);
  ASSERT_TRUE(writeFileAtomically(folder_ / "f", "old", 0644));
  ASSERT_TRUE(writeFileAtomically(folder_ / "f", content, 0600));
  EXPECT_EQ(readFile(folder_ / "f", 100).value(), content);
  EXPECT_EQ(modeOf(folder_ / "f"), 0600U);
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FilesTest, AFailedReplacementLeavesTheTargetAndNoTemporary) {
  fs::create_directory(folder_ / "f");
  EXPECT_FALSE(writeFileAtomically(folder_ / "f", "new", 0600));
  EXPECT_TRUE(fs::is_directory(folder_ / "f"));
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FilesTest, AFileOfExactlyTheLimitIsReadAndOneByteMoreIsRefused) {
  ASSERT_TRUE(writeFileAtomically(folder_ / "f", std::string(20000, 'x'), 0600));
  EXPECT_EQ(readFile(folder_ / "f", 20000).value().size(), 20000U);
  EXPECT_EQ(readFile(folder_ / "f", 19999).error().code, ErrorCode::InvalidArgument);
}

TEST_F(FilesTest, AMissingFileIsNotFoundAndAFolderIsNoFile) {
  EXPECT_EQ(readFile(folder_ / "none", 10).error().code, ErrorCode::NotFound);
  EXPECT_EQ(readFile(folder_, 10).error().code, ErrorCode::InvalidArgument);
}

TEST_F(FilesTest, AFolderIsMadeWithItsParentsAndExactlyTheModeAskedFor) {
  ASSERT_TRUE(ensureDirectory(folder_ / "a/b/c", 0777));
  EXPECT_EQ(modeOf(folder_ / "a/b/c"), 0777U);
  ASSERT_TRUE(ensureDirectory(folder_ / "a/b/c", 0700));
  EXPECT_EQ(modeOf(folder_ / "a/b/c"), 0700U);
}

TEST_F(FilesTest, AFileInAFoldersPlaceIsAConflict) {
  ASSERT_TRUE(writeFileAtomically(folder_ / "f", "", 0600));
  EXPECT_EQ(ensureDirectory(folder_ / "f", 0700).error().code, ErrorCode::Conflict);
}

TEST_F(FilesTest, RemovingATreeFollowsNoLinkAndSucceedsTwice) {
  ASSERT_TRUE(ensureDirectory(folder_ / "tree/sub", 0700));
  ASSERT_TRUE(writeFileAtomically(folder_ / "kept", "x", 0600));
  fs::create_symlink(folder_ / "kept", folder_ / "tree/link");
  EXPECT_TRUE(removeTree(folder_ / "tree"));
  EXPECT_TRUE(removeTree(folder_ / "tree"));
  EXPECT_FALSE(fs::exists(folder_ / "tree"));
  EXPECT_TRUE(fs::exists(folder_ / "kept"));
}

}  // namespace
}  // namespace berth::os
