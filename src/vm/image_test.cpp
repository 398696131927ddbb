#include "vm/image.h"

#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <unistd.h>

#include "os/fake_process_runner.h"
#include "os/files.h"
#include "vm/guest_agent.h"
#include "vm/seed.h"

namespace berth::vm {
namespace {

std::string sample(const std::string& name) {
  std::ifstream in(std::string(BERTH_SOURCE_DIR) + "/tests/fuzz/corpus/image_probe/" + name,
                   std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

Result<ImageProbe> probe(const std::string& bytes, std::string_view extension = "") {
  const std::string_view view(bytes);
  return probeImage({view.substr(0, kProbeHead), view.substr(view.size() - std::min(view.size(), kProbeTail)),
                     bytes.size()},
                    extension);
}

std::string reasonOf(const Result<ImageProbe>& result) { return result ? "accepted" : result.error().reason; }

TEST(ImageProbeTest, AFormatIsToldFromTheBytes) {
  EXPECT_EQ(probe(sample("vhd-dynamic"))->format, ImageFormat::Vhd);
  EXPECT_EQ(probe(sample("qcow2"))->virtual_bytes, 1048576U);
  EXPECT_EQ(probe(sample("qcow2"), ".raw")->format, ImageFormat::Qcow2);
  EXPECT_EQ(probe(std::string(1024, '\0')), (ImageProbe{ImageFormat::Raw, 1024}));
}

TEST(ImageProbeTest, AVhdWithABrokenFooterIsRefusedAtEveryByte) {
  const std::string good = sample("vhd-dynamic");
  for (std::size_t back = 1; back <= 512; ++back) {
    std::string bad = good;
    bad[bad.size() - back] = static_cast<char>(bad[bad.size() - back] ^ 0x55);
    EXPECT_EQ(reasonOf(probe(bad, ".vhd")), "BadImage") << back;
  }
  EXPECT_EQ(reasonOf(probe(good.substr(0, good.size() - 512), ".vhd")), "BadImage");
  EXPECT_EQ(reasonOf(probe(std::string(2048, '\0'), ".vhd")), "BadImage");
}

TEST(ImageProbeTest, AQcow2ThatPointsOutsideIsRefusedWhateverItIsCalled) {
  EXPECT_EQ(reasonOf(probe(sample("qcow2-backing"), ".raw")), "UnsafeImage");
  std::string external = sample("qcow2");
  external[79] = 4;  // Incompatible feature bit 2.
  EXPECT_EQ(reasonOf(probe(external)), "UnsafeImage");
}

TEST(ImageProbeTest, EmptyOddAndForeignFilesAreRefused) {
  EXPECT_EQ(reasonOf(probe("")), "BadImage");
  EXPECT_EQ(reasonOf(probe(std::string(513, 'x'))), "BadImage");
  EXPECT_EQ(reasonOf(probe("KDMV" + std::string(508, 'x'))), "BadImage");
  EXPECT_EQ(reasonOf(probe("QFI\xfb")), "BadImage");
}

TEST(ImageInfoTest, WhatIsPrintedIsReadBack) {
  const ImageInfo info{"win", GuestOs::Windows, Generation::V2, false, 1024, "ab"};
  EXPECT_EQ(*parseImageInfo(printImageInfo(info)), info);
  EXPECT_EQ(parseImageInfo("{").error().code, ErrorCode::Corrupt);
}

TEST(ImageProgressTest, TheLastPercentageCounts) {
  EXPECT_EQ(lastProgress("    (1.00/100%)\r    (42.51/100%)\r"), 42);
  EXPECT_EQ(lastProgress(""), 0);
  EXPECT_EQ(lastProgress("/100%)"), 0);
}

class ImageStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "berth-image-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir_ = name;
  }
  void TearDown() override { static_cast<void>(os::removeTree(dir_)); }
  std::filesystem::path file(const std::string& name, const std::string& content) {
    std::ofstream(dir_ / name, std::ios::binary) << content;
    return dir_ / name;
  }
  std::filesystem::path dir_;
  os::FakeProcessRunner fake_;
  ImageInfo info_{"img", GuestOs::Linux, Generation::V1, true, 0, ""};
};

TEST_F(ImageStoreTest, AnImportThatFillsTheDiskLeavesNothing) {
  fake_.answer = [](const os::ProcessSpec& spec) -> Result<os::ProcessResult> {
    if (spec.argv[0] == "sha256sum") return os::ProcessResult{{}, std::string(64, 'a') + " *x", "", false};
    if (spec.argv[1] == "measure") return os::ProcessResult{{}, R"({"required":1})", "", false};
    return os::ProcessResult{{1, 0}, "", "qemu-img: error while writing: No space left on device", false};
  };
  ImageStore store(fake_, dir_ / "store");
  const auto result = store.import({info_, file("disk.raw", std::string(1024, 'x'))}, {}, Deadline::max());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, "DiskFull");
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "store" / "images"));
}

TEST_F(ImageStoreTest, AWrongChecksumIsRefusedBeforeAnythingIsMade) {
  fake_.answer = [](const os::ProcessSpec&) -> Result<os::ProcessResult> {
    return os::ProcessResult{{}, std::string(64, 'a') + " *x", "", false};
  };
  info_.sha256 = std::string(64, 'b');
  ImageStore store(fake_, dir_ / "store");
  const auto result = store.import({info_, file("disk.raw", std::string(1024, 'x'))}, {}, Deadline::max());
  EXPECT_EQ(result.error().reason, "ChecksumMismatch");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "store"));
}

TEST_F(ImageStoreTest, AnImageIsImportedClonedAndItsDisksGrowButNeverShrink) {
  if (!std::filesystem::exists("/usr/bin/qemu-img")) GTEST_SKIP() << "needs qemu-img";
  os::PosixProcessRunner runner;
  ImageStore store(runner, dir_ / "store");
  const Deadline deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  int percent = 0;
  const auto image = store.import(
      {info_, file("a,b.vhd", sample("vhd-dynamic"))}, [&percent](int now) { percent = now; }, deadline);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(percent, 100);
  EXPECT_EQ(*store.list(), std::vector<ImageInfo>{*image});
  EXPECT_EQ(store.import({info_, dir_ / "a,b.vhd"}, {}, deadline).error().code, ErrorCode::Conflict);
  for (int i = 0; i < 2; ++i) {
    const auto cloned = store.createClone("os", "img", 0, deadline);
    ASSERT_TRUE(cloned) << cloned.error().message;
    ASSERT_TRUE(store.createDisk("data", 1 << 20, deadline));
  }
  EXPECT_EQ(store.createDisk("os", 1 << 20, deadline).error().code, ErrorCode::Conflict);
  EXPECT_TRUE(store.growDisk("data", 2 << 20, deadline));
  EXPECT_EQ(store.growDisk("data", 1 << 20, deadline).error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(store.createClone("x", "none", 0, deadline).error().reason, "UnknownImage");
  EXPECT_EQ(store.createDisk("../x", 512, deadline).error().code, ErrorCode::InvalidArgument);
}

SeedSpec seed() {
  SeedSpec spec;
  spec.instance_id = "i-1";
  spec.hostname = "vm1";
  spec.user = "azureuser";
  spec.password = "Password1234";
  spec.ssh_keys = {"ssh-ed25519 AAAA me"};
  return spec;
}

TEST(SeedTest, APasswordIsHashedAndNeverInTheClear) {
  const auto files = linuxSeed(seed(), "saltsaltsaltsalt");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_NE(files->at("user-data").find("$6$saltsaltsaltsalt$"), std::string::npos);
  EXPECT_EQ(files->at("user-data").find("Password1234"), std::string::npos);
}

TEST(SeedTest, CustomDataIsTakenUpToItsLimit) {
  SeedSpec spec = seed();
  spec.custom_data_base64 = base64Encode(std::string(kMaxCustomData, 'x'));
  EXPECT_TRUE(linuxSeed(spec, "salt"));
  spec.custom_data_base64 = base64Encode(std::string(kMaxCustomData + 1, 'x'));
  EXPECT_FALSE(linuxSeed(spec, "salt"));
  spec.custom_data_base64 = "not base64!";
  EXPECT_FALSE(linuxSeed(spec, "salt"));
}

TEST(SeedTest, NamesAndPasswordsFollowAzuresRules) {
  const auto refused = [](auto change, GuestOs os = GuestOs::Linux) {
    SeedSpec spec = seed();
    change(spec);
    return !checkSeed(spec, os);
  };
  EXPECT_FALSE(refused([](SeedSpec&) {}));
  EXPECT_TRUE(refused([](SeedSpec& s) { s.user = "Root"; }));
  EXPECT_TRUE(refused([](SeedSpec& s) { s.user = "a: b"; }));
  EXPECT_TRUE(refused([](SeedSpec& s) { s.password = "Password123"; }));
  EXPECT_TRUE(refused([](SeedSpec& s) { s.password = "password1234"; }));
  EXPECT_TRUE(refused([](SeedSpec& s) { s.ssh_keys = {"ssh-rsa A\nruncmd: x"}; }));
  EXPECT_FALSE(refused([](SeedSpec& s) { s.hostname = std::string(15, 'a'); }, GuestOs::Windows));
  EXPECT_TRUE(refused([](SeedSpec& s) { s.hostname = std::string(16, 'a'); }, GuestOs::Windows));
  EXPECT_TRUE(refused([](SeedSpec& s) { s.password = ""; }, GuestOs::Windows));
}

}  // namespace
}  // namespace berth::vm
