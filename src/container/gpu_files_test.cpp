#include "container/gpu_files.h"

#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace berth::container {
namespace {

namespace fs = std::filesystem;

class GpuFilesTest : public ::testing::Test {
 protected:
  GpuFilesTest()
      : root_(fs::canonical(fs::temp_directory_path()) / ("berth-root-" + std::to_string(::getpid()))) {
    fs::remove_all(root_);
    fs::create_directories(root_ / "dev");
  }
  ~GpuFilesTest() override { fs::remove_all(root_); }

  void file(const std::string& path) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << "x";
  }
  void link(const std::string& path, const std::string& to) { fs::create_symlink(to, root_ / path); }
  DriverFile at(const std::string& path, std::string name) {
    return {(root_ / path).string(), std::move(name)};
  }

  fs::path root_;
};

TEST_F(GpuFilesTest, TheSimulatedRootIsItsTwoLibrariesAndItsPrograms) {
  file("lib/libcuda.so.1");
  file("lib/libnvidia-ml.so.1");
  file("lib/libother.so.1");
  file("bin/nvidia-cuda-mps-control");
  const auto files = findDriverFiles(root_, true, root_ / "dev");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_TRUE(files->simulated);
  EXPECT_EQ(files->libraries, (std::vector<DriverFile>{at("lib/libcuda.so.1", "libcuda.so.1"),
                                                       at("lib/libnvidia-ml.so.1", "libnvidia-ml.so.1")}));
  EXPECT_EQ(files->programs,
            (std::vector<DriverFile>{at("bin/nvidia-cuda-mps-control", "nvidia-cuda-mps-control")}));
  EXPECT_TRUE(files->control_devices.empty());
}

TEST_F(GpuFilesTest, ARealDriversLinksAreResolvedAndItsControlDevicesFound) {
  const std::string folder = "usr/lib/" + std::string(architectureTriplet()) + "/";
  file(folder + "libcuda.so.535.54");
  link(folder + "libcuda.so.1", "libcuda.so.535.54");
  link(folder + "libcuda.so", "libcuda.so.1");
  file(folder + "libnvidia-ml.so.535.54");
  link(folder + "libnvidia-ml.so.1", "libnvidia-ml.so.535.54");
  file(folder + "libcudart.so.12");
  link(folder + "libnvidia-encode.so.1", "libnvidia-encode.so.gone");
  file("usr/bin/nvidia-smi");
  file("dev/nvidiactl");
  file("dev/nvidia-uvm");
  const auto files = findDriverFiles(root_, false, root_ / "dev");
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->libraries,
            (std::vector<DriverFile>{at(folder + "libcuda.so.535.54", "libcuda.so"),
                                     at(folder + "libcuda.so.535.54", "libcuda.so.1"),
                                     at(folder + "libcuda.so.535.54", "libcuda.so.535.54"),
                                     at(folder + "libnvidia-ml.so.535.54", "libnvidia-ml.so.1"),
                                     at(folder + "libnvidia-ml.so.535.54", "libnvidia-ml.so.535.54")}));
  EXPECT_EQ(files->programs, (std::vector<DriverFile>{at("usr/bin/nvidia-smi", "nvidia-smi")}));
  EXPECT_EQ(files->control_devices, (std::vector<std::string>{(root_ / "dev/nvidiactl").string(),
                                                              (root_ / "dev/nvidia-uvm").string()}));
}

TEST_F(GpuFilesTest, ARealDriverWithoutItsKernelModuleIsUnavailable) {
  file("lib/libcuda.so.1");
  file("lib/libnvidia-ml.so.1");
  const auto files = findDriverFiles(root_, false, root_ / "dev");
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, ErrorCode::Unavailable);
  EXPECT_NE(files.error().message.find("nvidiactl"), std::string::npos);
}

TEST_F(GpuFilesTest, ARootWithOnlyOneOfTheTwoLibrariesIsUnavailableAndNamed) {
  file("lib/libcuda.so.1");
  const auto files = findDriverFiles(root_, true, root_ / "dev");
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, ErrorCode::Unavailable);
  EXPECT_NE(files.error().message.find(root_.string()), std::string::npos);
}

TEST(SelectLibrariesTest, AMissingSonameIsAddedFromTheVersionedFile) {
  const auto libraries = selectLibraries({{"/d/libcuda.so.535.54", "libcuda.so.535.54"},
                                          {"/d/libnvidia-nvvm.so.535.54", "libnvidia-nvvm.so.535.54"},
                                          {"/d/libnvidia-gpucomp.so.535.54", "libnvidia-gpucomp.so.535.54"}});
  EXPECT_EQ(libraries,
            (std::vector<DriverFile>{{"/d/libcuda.so.535.54", "libcuda.so.1"},
                                     {"/d/libcuda.so.535.54", "libcuda.so.535.54"},
                                     {"/d/libnvidia-gpucomp.so.535.54", "libnvidia-gpucomp.so.535.54"},
                                     {"/d/libnvidia-nvvm.so.535.54", "libnvidia-nvvm.so.4"},
                                     {"/d/libnvidia-nvvm.so.535.54", "libnvidia-nvvm.so.535.54"}}));
}

TEST(SelectLibrariesTest, NamesThatOnlyBeginLikeOursAreNotOurs) {
  EXPECT_TRUE(selectLibraries({{"/d/a", "libcuda.sox"}, {"/d/b", "libcudart.so.1"}, {"/d/c", "libcuda-x.so"}})
                  .empty());
}

}  // namespace
}  // namespace berth::container
