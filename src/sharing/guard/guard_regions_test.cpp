#include "sharing/guard/guard_regions.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "os/files.h"
#include "sharing/guard/guard_library.h"

namespace berth::sharing {
namespace {

class GuardRegionsTest : public ::testing::Test {
 protected:
  GuardRegionsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "berth-guard-XXXXXX").string();
    top = ::mkdtemp(pattern.data());
  }
  ~GuardRegionsTest() override { std::filesystem::remove_all(top); }

  static GuardedGpus limits(std::uint64_t bytes, std::uint32_t permille) {
    return {{GpuUuid("GPU-1"), {bytes, permille, guard::kPaceAlways}}};
  }
  static ::ino_t inode(const std::filesystem::path& path) {
    struct stat status{};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_ino;
  }

  std::filesystem::path top;
};

TEST_F(GuardRegionsTest, FilesAreFoundAgainByADaemonThatKnowsNothing) {
  const auto made = GuardRegions(top / "guard", "/lib.so").make("w/0/c", limits(4096, 200));
  ASSERT_TRUE(made) << made.error().message;
  const GuardRegions later(top / "guard", "/lib.so");
  EXPECT_EQ(later.present(), (PresentRegions{{"w/0/c", limits(4096, 200)}}));
  const auto usage = later.usage("w/0/c", 1);
  ASSERT_TRUE(usage) << usage.error().message;
  EXPECT_TRUE(usage->empty());
}

TEST_F(GuardRegionsTest, LimitsChangeInPlaceSinceAContainerHasTheInodeMounted) {
  const GuardRegions here(top / "guard", "/lib.so");
  const auto made = here.make("w/0/c", limits(4096, 200));
  ASSERT_TRUE(made);
  const ::ino_t before = inode(made->limits);
  ASSERT_TRUE(here.setShares("w/0/c", limits(8192, 500)));
  EXPECT_EQ(inode(made->limits), before);
  EXPECT_EQ(here.present().at("w/0/c"), limits(8192, 500));
}

TEST_F(GuardRegionsTest, TheNextAttemptBeginsWithFreshFilesAndTheSamePreloadFile) {
  const GuardRegions here(top / "guard", "/lib.so");
  const auto first = here.make("w/0/c", limits(4096, 200));
  ASSERT_TRUE(first);
  const ::ino_t preload = inode(first->preload);
  std::ofstream(first->usage, std::ios::trunc) << "damaged";
  const auto second = here.make("w/0/c", limits(4096, 200));
  ASSERT_TRUE(second);
  EXPECT_TRUE(here.usage("w/0/c", 1));
  EXPECT_EQ(inode(second->preload), preload) << "it is mounted in every container";
  EXPECT_EQ(*os::readFile(second->preload, 100), std::string(guard::kLibraryPath) + "\n");
}

TEST_F(GuardRegionsTest, AContainerCanNeitherHideDamageNorFillTheHostsMemory) {
  const GuardRegions here(top / "guard", "/lib.so");
  const auto made = here.make("w/0/c", limits(4096, 200));
  ASSERT_TRUE(made);
  std::filesystem::resize_file(made->usage, 64 << 20);
  EXPECT_TRUE(here.usage("w/0/c", 1)) << "longer, and otherwise whole";
  EXPECT_EQ(std::filesystem::file_size(made->usage), guard::usageBytes(1));
  std::filesystem::resize_file(made->usage, 10);
  EXPECT_EQ(here.usage("w/0/c", 1).error().code, ErrorCode::Corrupt);
}

TEST_F(GuardRegionsTest, WhatACrashLeftHalfMadeIsFoundAndRemoved) {
  const GuardRegions here(top / "guard", "/lib.so");
  ASSERT_TRUE(here.make("w/0/c", limits(4096, 200)));
  std::filesystem::remove(top / "guard/w/0/c/limits");
  EXPECT_EQ(here.present(), (PresentRegions{{"w/0/c", std::nullopt}}));
  ASSERT_TRUE(here.remove("w/0/c"));
  EXPECT_TRUE(here.present().empty());
  EXPECT_FALSE(std::filesystem::exists(top / "guard/w"));
  EXPECT_TRUE(here.remove("w/0/c")) << "again is no failure";
}

TEST_F(GuardRegionsTest, LimitsForOtherGpusOrForNoFilesAreRefused) {
  const GuardRegions here(top / "guard", "/lib.so");
  ASSERT_TRUE(here.make("w/0/c", limits(4096, 200)));
  const GuardedGpus other{{GpuUuid("GPU-2"), {}}};
  EXPECT_EQ(here.setShares("w/0/c", other).error().code, ErrorCode::Conflict);
  EXPECT_EQ(here.setShares("x/0/c", other).error().code, ErrorCode::NotFound);
}

TEST_F(GuardRegionsTest, TheLibraryIsFoundWhereItWasInstalledBuiltOrConfigured) {
  const std::string name = std::filesystem::path(guard::kLibraryPath).filename().string();
  EXPECT_FALSE(findGuardLibrary("", top / "bin/berthd"));
  std::filesystem::create_directories(top / "guard");
  std::ofstream(top / "guard" / name) << "x";
  EXPECT_EQ(findGuardLibrary("", top / "bin/berthd"), top / "guard" / name);
  std::filesystem::create_directories(top / "lib/berth");
  std::ofstream(top / "lib/berth" / name) << "x";
  EXPECT_EQ(findGuardLibrary("", top / "bin/berthd"), top / "lib/berth" / name);
  EXPECT_EQ(findGuardLibrary(top / "guard" / name, "/bin/berthd"), top / "guard" / name);
  EXPECT_FALSE(findGuardLibrary(top / "nothing", top / "bin/berthd")) << "what is configured is meant";
}

}  // namespace
}  // namespace berth::sharing
