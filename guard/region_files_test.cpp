#include "guard/region_files.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth::guard {
namespace {

class RegionFilesTest : public testing::Test {
 protected:
  RegionFilesTest() { std::filesystem::create_directories(folder_); }
  ~RegionFilesTest() override { std::filesystem::remove_all(folder_); }

  static mode_t modeOf(const std::filesystem::path& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 0777U : 0;
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("guard-region-" + std::to_string(::getpid()));
  std::filesystem::path limits_ = folder_ / "limits";
  std::filesystem::path usage_ = folder_ / "usage";
};

TEST_F(RegionFilesTest, LimitsSurviveARestartOfTheDaemon) {
  {
    auto limits = LimitsFile::create(limits_, {GpuUuid("GPU-a"), GpuUuid("GPU-b")});
    ASSERT_TRUE(limits) << limits.error().message;
    limits->setShare(1, {.memory_bytes = 4096, .compute_permille = 250});
  }
  const auto limits = LimitsFile::open(limits_);
  ASSERT_TRUE(limits) << limits.error().message;
  EXPECT_EQ(limits->gpuCount(), 2U);
  EXPECT_EQ(limits->uuid(1), GpuUuid("GPU-b"));
  EXPECT_EQ(limits->share(0), GpuShare{});
  EXPECT_EQ(limits->share(1), (GpuShare{.memory_bytes = 4096, .compute_permille = 250}));
}

TEST_F(RegionFilesTest, OnlyTheUsageFileMayBeWrittenByEveryUser) {
  ASSERT_TRUE(LimitsFile::create(limits_, {GpuUuid("GPU-a")}));
  ASSERT_TRUE(createUsageFile(usage_, 1));
  EXPECT_EQ(modeOf(limits_), 0644U);
  EXPECT_EQ(modeOf(usage_), 0666U);
}

TEST_F(RegionFilesTest, ANewUsageFileIsReadAsEmpty) {
  ASSERT_TRUE(createUsageFile(usage_, 2));
  const auto processes = readUsageFile(usage_, 2);
  ASSERT_TRUE(processes) << processes.error().message;
  EXPECT_TRUE(processes->empty());
}

TEST_F(RegionFilesTest, AUsageFileThatTheContainerCutShortOrBlewUpIsCorrupt) {
  ASSERT_TRUE(createUsageFile(usage_, 1));
  for (const std::size_t length :
       {std::size_t{0}, usageBytes(1) - 1, usageBytes(1) + 1, std::size_t{1} << 40U}) {
    std::filesystem::resize_file(usage_, length);
    const auto processes = readUsageFile(usage_, 1);
    ASSERT_FALSE(processes);
    EXPECT_EQ(processes.error().code, ErrorCode::Corrupt);
    EXPECT_THAT(processes.error().message, testing::HasSubstr(usage_.string()));
  }
}

TEST_F(RegionFilesTest, AFileThatIsNoLimitsFileIsCorruptAndAMissingOneNotFound) {
  EXPECT_EQ(LimitsFile::open(limits_).error().code, ErrorCode::NotFound);
  std::ofstream(limits_) << std::string(sizeof(LimitsRegion), 'x');
  EXPECT_EQ(LimitsFile::open(limits_).error().code, ErrorCode::Corrupt);
  std::filesystem::resize_file(limits_, 10);
  EXPECT_EQ(LimitsFile::open(limits_).error().code, ErrorCode::Corrupt);
}

}  // namespace
}  // namespace berth::guard
