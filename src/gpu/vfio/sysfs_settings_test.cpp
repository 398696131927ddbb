#include "gpu/vfio/sysfs_settings.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "gpu/vfio/fake_sysfs.h"
#include "gpu/vfio/group.h"
#include "os/fake_process_runner.h"
#include "os/unique_fd.h"

namespace berth::vfio {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const PciAddress kGpu("0000:3b:00.0");

Deadline in(std::chrono::milliseconds time) { return std::chrono::steady_clock::now() + time; }

TEST(HelperWriterTest, AProcessOfItsOwnWritesAndTheKernelsRefusalIsTold) {
  const FakeSysfs folder;
  os::PosixProcessRunner runner;
  HelperWriter writer(runner);
  const fs::path file = folder.root / "attribute";
  FakeSysfs::put(file, "");
  ASSERT_TRUE(writer.write(file, "vfio-pci", kGpu, in(std::chrono::seconds(10))));
  EXPECT_EQ(FakeSysfs::get(file), "vfio-pci");

  const auto missing = writer.write(folder.root / "missing", "x", kGpu, in(std::chrono::seconds(10)));
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("No such file or directory"));
  EXPECT_FALSE(fs::exists(folder.root / "missing"));
  const auto refused = writer.write("/dev/full", "x", kGpu, in(std::chrono::seconds(10)));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("No space left on device"));
}

TEST(HelperWriterTest, AWriteThatHangsEndsAtTheDeadline) {
  const FakeSysfs folder;
  os::PosixProcessRunner runner;
  HelperWriter writer(runner);
  const fs::path fifo = folder.root / "fifo";  // Opening one blocks until somebody reads.
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  const auto written = writer.write(fifo, "x", kGpu, in(std::chrono::milliseconds(50)));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::Timeout);
  EXPECT_EQ(written.error().reason, kSysfsHung);
}

/// /proc/PID of a writer, as the kernel shows it.
void addWriter(const fs::path& proc, int pid, const std::string& device, char state) {
  const fs::path folder = proc / std::to_string(pid);
  fs::create_directories(folder);
  std::ofstream(folder / "environ") << std::string("PATH=/bin\0BERTH_SYSFS_DEVICE=", 29) << device << '\0';
  std::ofstream(folder / "stat") << pid << " (dd) " << state
                                 << " 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0\n";
}

TEST(HelperWriterTest, AWriterThatAnEarlierDaemonLeftHangingIsFoundByItsDevice) {
  const FakeSysfs folder;
  os::FakeProcessRunner runner;
  HelperWriter writer(runner, folder.proc());
  addWriter(folder.proc(), 77, "0000:3b:00.0", 'D');
  addWriter(folder.proc(), 78, "0000:3b:00.1", 'D');
  addWriter(folder.proc(), 79, "0000:3b:00.0", 'Z');
  EXPECT_EQ(writer.pending(kGpu), std::vector<std::int64_t>{77});
  EXPECT_EQ(writer.pending(PciAddress("0000:5e:00.0")), std::vector<std::int64_t>{});
}

TEST(SysfsSettingsTest, ADeviceWithAHungWriteIsNeitherReadNorWritten) {
  FakeSysfs tree;
  tree.add({"0000:3b:00.0"});
  tree.hung[kGpu] = 77;
  SysfsSettings settings(tree, nullptr, tree.sysfs());
  const auto read = settings.read(Attribute::Driver, kGpu);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().reason, kSysfsHung);
  EXPECT_THAT(read.error().message, HasSubstr("process 77"));
  EXPECT_EQ(settings.write(Attribute::Override, kGpu, "x", Deadline::max()).error().reason, kSysfsHung);
}

TEST(SysfsSettingsTest, ADriverThatTheKernelNoLongerHasIsNamed) {
  FakeSysfs tree;
  tree.add({"0000:3b:00.0", "0x030200", "0x10de", "0x1eb8", "", 1});
  SysfsSettings settings(tree, nullptr, tree.sysfs());
  const auto bound = settings.write(Attribute::Driver, kGpu, "nouveau", Deadline::max());
  ASSERT_FALSE(bound);
  EXPECT_THAT(bound.error().message, HasSubstr("no driver nouveau"));
  EXPECT_EQ(settings.read(Attribute::Driver, PciAddress("0000:77:00.0")).error().code, ErrorCode::NotFound);
  EXPECT_EQ(settings.read(Attribute::Persistence, kGpu).error().code, ErrorCode::NotFound);
}

TEST(EnsureVfioDriverTest, ModprobeIsAskedOnlyWhereTheDriverIsMissingAndItsWordsAreTold) {
  FakeSysfs tree;
  os::FakeProcessRunner runner;
  ASSERT_TRUE(ensureVfioDriver(runner, Deadline::max(), tree.sysfs()));
  EXPECT_TRUE(runner.runs.empty());

  fs::remove_all(tree.sysfs() / "bus/pci/drivers/vfio-pci");
  runner.answer = [](const os::ProcessSpec&) {
    return os::ProcessResult{{1, 0}, "", "modprobe: FATAL: Module vfio-pci not found\n", false};
  };
  const auto missing = ensureVfioDriver(runner, Deadline::max(), tree.sysfs());
  EXPECT_EQ(missing.error().reason, kVfioMissing);
  EXPECT_THAT(missing.error().message, HasSubstr("Module vfio-pci not found"));

  runner.answer = [&](const os::ProcessSpec&) {
    tree.addDriver("vfio-pci");
    return os::ProcessResult{};
  };
  EXPECT_TRUE(ensureVfioDriver(runner, Deadline::max(), tree.sysfs()));
}

}  // namespace
}  // namespace berth::vfio
