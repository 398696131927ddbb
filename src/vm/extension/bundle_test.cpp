#include "vm/extension/bundle.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vm/extension/request.h"

namespace berth::vm::extension {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kHash = "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4";  // Of "hi".

class BundleTest : public testing::Test {
 protected:
  BundleTest() {
    std::string pattern = (fs::temp_directory_path() / "berth-bundles-XXXXXX").string();
    shelf_ = ::mkdtemp(pattern.data());
  }
  ~BundleTest() override { fs::remove_all(shelf_); }

  fs::path add(const std::string& name, const std::string& version, const std::string& sums) {
    const fs::path folder = shelf_ / name;
    fs::create_directories(folder);
    std::ofstream(folder / "bundle.json") << R"({"type":"NvidiaGpuDriverLinux","version":")" << version
                                          << R"(","systems":["Ubuntu 22.04 LTS"],"install":"install.sh"})";
    std::ofstream(folder / "install.sh") << "hi\n";
    std::ofstream(folder / "SHA256SUMS") << sums;
    return folder;
  }

  fs::path shelf_;
};

TEST_F(BundleTest, BundlesAreFoundNewestFirstAndAFolderThatIsNoneIsReported) {
  const std::string sums = std::string(kHash) + "  install.sh\n";
  add("old", "535.54", sums);
  add("new", "535.183.01", sums);
  add("bad", "1", "nonsense\n");
  add("bare", "1", "");
  const Shelf shelf = readShelf(shelf_);
  ASSERT_EQ(shelf.bundles.size(), 2U);
  EXPECT_EQ(shelf.bundles[0].version, "535.183.01");
  EXPECT_EQ(shelf.bundles[0].files, (std::vector<Checksum>{{"install.sh", kHash}}));
  ASSERT_EQ(shelf.problems.size(), 2U);
  EXPECT_THAT(
      shelf.problems[0].message + shelf.problems[1].message,
      testing::AllOf(HasSubstr("SHA256SUMS:1: is not a checksum"), HasSubstr("no checksum of install.sh")));
  EXPECT_TRUE(readShelf(shelf_ / "nowhere").bundles.empty());
}

TEST_F(BundleTest, AFileThatIsNotWhatItsChecksumSaysIsNamed) {
  os::PosixProcessRunner runner;
  const Deadline deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const fs::path folder = add("one", "1", std::string(kHash) + "  install.sh\n");
  const auto bundle = readBundle(folder);
  ASSERT_TRUE(bundle) << bundle.error().message;
  const auto good = verifyFiles(runner, *bundle, deadline);
  ASSERT_TRUE(good) << good.error().message;

  std::ofstream(folder / "install.sh") << "ho\n";
  const auto bad = verifyFiles(runner, *bundle, deadline);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, ErrorCode::InvalidArgument);
  EXPECT_THAT(bad.error().message, HasSubstr("install.sh: FAILED"));
}

TEST(ChecksumsTest, NamesThatLeaveTheFolderOrCouldBeOptionsAreRefused) {
  const std::string hash(64, 'a');
  EXPECT_TRUE(parseChecksums(hash + " *driver-1.2+x_y.run\n\n" + hash + "  b\n"));
  for (const std::string name :
       {"../x", "a/b", "/etc/passwd", "-rf", ".hidden", "a b", "a\"b", "a$b", "a\\b", ""}) {
    const auto sums = parseChecksums(hash + "  ok\n" + hash + "  " + name + "\n");
    ASSERT_FALSE(sums) << name;
    EXPECT_THAT(sums.error().message, HasSubstr("SHA256SUMS:2:"));
  }
  EXPECT_FALSE(parseChecksums(std::string(64, 'A') + "  b\n"));
  EXPECT_FALSE(parseChecksums(std::string(63, 'a') + "  b\n"));
}

TEST(ParseBundleTest, ProblemsAreNamedWithTheirPlace) {
  const auto message = [](const char* text) {
    const auto bundle = parseBundle(text, "bundle.json");
    return bundle ? std::string("it was read") : bundle.error().message;
  };
  EXPECT_THAT(message("{}"), HasSubstr("bundle.json.type: is missing"));
  EXPECT_THAT(message(R"({"type":"X","version":"1","systems":[],"install":"a"})"),
              HasSubstr("bundle.json.type: X is unknown"));
  EXPECT_THAT(message(R"({"type":"NvidiaGpuDriverLinux","version":"1","systems":[3],"install":"a"})"),
              HasSubstr("bundle.json.systems: holds something else than text"));
  EXPECT_THAT(message(R"({"type":"NvidiaGpuDriverLinux","version":"1","systems":[],"install":"../a"})"),
              HasSubstr("bundle.json.install: \"../a\" is not the name of a file"));
  EXPECT_THAT(
      message(R"({"type":"NvidiaGpuDriverLinux","version":"1","systems":[],"install":"a","colour":"red"})"),
      HasSubstr("bundle.json.colour: unknown field"));
  EXPECT_EQ(
      message(
          R"({"type":"NvidiaGpuDriverLinux","version":"1","systems":[],"install":"a","arguments":["x"]})"),
      "it was read");
}

TEST(IsNewerTest, VersionsAreComparedByTheirNumbers) {
  EXPECT_TRUE(isNewer("535.183", "535.54"));
  EXPECT_TRUE(isNewer("535.183.01", "535.183"));
  EXPECT_FALSE(isNewer("535.54", "535.54"));
  EXPECT_FALSE(isNewer("470.1", "535.54"));
}

}  // namespace
}  // namespace berth::vm::extension
