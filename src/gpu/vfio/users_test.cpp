#include "gpu/vfio/users.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu/vfio/fake_sysfs.h"
#include "gpu/vfio/group.h"

namespace berth::vfio {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;

const dev_t kFull = makedev(1, 7);  // /dev/full: hardly anybody has it open.
const PciAddress kGpu("0000:3b:00.0");

TEST(DeviceNumberTest, OnlyWhatTheKernelWritesIsANumber) {
  EXPECT_EQ(parseDeviceNumber("226:128\n"), makedev(226, 128));
  for (const char* text : {"", "226", "226:", ":1", "226:1:1", "-1:1", "4096:0", "1:1048576", "a:b"}) {
    EXPECT_FALSE(parseDeviceNumber(text)) << text;
  }
  EXPECT_EQ(parseNvidiaMinor("Model: \t\t Tesla T4\nDevice Minor: \t 3\n"), 3U);
  EXPECT_FALSE(parseNvidiaMinor("Model: Tesla T4\n"));
  EXPECT_FALSE(parseNvidiaMinor("Device Minor: three\n"));
}

TEST(ContainerInTest, AnEnginesIdIsFoundInEveryEnginesSpelling) {
  const std::string id = std::string(60, 'a') + "0123";
  EXPECT_EQ(containerIn({{0, {}, "/system.slice/docker-" + id + ".scope"}}), id);
  EXPECT_EQ(containerIn({{3, {"memory"}, "/"}, {2, {"pids"}, "/libpod_parent/libpod-" + id}}), id);
  EXPECT_EQ(containerIn({{0, {}, "/kubepods/burstable/podabc/" + id}}), id);
  EXPECT_EQ(containerIn({{0, {}, "/user.slice/" + id + "f"}}), "");
}

TEST(DeviceNumbersTest, EveryNodeOfTheFunctionIsFound) {
  FakeSysfs tree;
  tree.add({"0000:3b:00.0", "0x030200", "0x10de", "0x1eb8", "vfio-pci", 7});
  FakeSysfs::put(tree.device("0000:3b:00.0") / "drm/card0/dev", "226:0");
  FakeSysfs::put(tree.device("0000:3b:00.0") / "drm/renderD128/dev", "226:128");
  FakeSysfs::put(tree.device("0000:3b:00.0") / "0000:3c:00.0/drm/card1/dev", "226:1");  // Another's.
  FakeSysfs::put(tree.sysfs() / "class/vfio/7/dev", "511:0");
  FakeSysfs::put(tree.proc() / "driver/nvidia/gpus/0000:3b:00.0/information", "Device Minor: \t 1");
  const auto numbers = deviceNumbers(kGpu, tree.sysfs(), tree.proc());
  ASSERT_TRUE(numbers) << numbers.error().message;
  EXPECT_EQ(*numbers, (DeviceNumbers{makedev(226, 0), makedev(226, 128), makedev(511, 0), makedev(195, 1)}));
}

/// A process that holds what `hold` opens until the test ends.
class Holder {
 public:
  template <typename Hold>
  explicit Holder(Hold hold) {
    int ready[2] = {};
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const char outcome = hold() ? 'y' : 'n';
      while (::write(ready[1], &outcome, 1) == 1) ::pause();
      ::_exit(1);
    }
    ::close(ready[1]);
    char outcome = 0;
    held = ::read(ready[0], &outcome, 1) == 1 && outcome == 'y';
    ::close(ready[0]);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  std::int64_t pid() const { return pid_; }
  bool held = false;

 private:
  pid_t pid_ = 0;
};

TEST(UsersOfTest, AProcessThatHasTheDeviceOpenIsNamed) {
  const Holder holder([] { return ::open("/dev/full", O_RDWR | O_CLOEXEC) >= 0; });
  ASSERT_TRUE(holder.held);
  const auto users = usersOf({kFull});
  ASSERT_TRUE(users) << users.error().message;
  EXPECT_THAT(*users, Contains(testing::AllOf(Field(&DeviceUser::pid, holder.pid()),
                                              Field(&DeviceUser::executable, HasSubstr("vfio_test")))));
}

TEST(UsersOfTest, ANodeOfAnotherNameAndAMappingWithoutADescriptorAreFoundToo) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: makes a device node and looks at others' mappings";
  const fs::path node = fs::temp_directory_path() / ("berth-disguised-" + std::to_string(::getpid()));
  if (::mknod(node.c_str(), S_IFCHR | 0600, makedev(1, 5)) != 0) GTEST_SKIP() << "may not make device nodes";
  const Holder holder([&] {
    const int fd = ::open(node.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return false;
    // A private mapping of /dev/zero keeps the file; the node itself is gone before anybody looks.
    void* const mapped = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    ::close(fd);
    ::unlink(node.c_str());
    return mapped != MAP_FAILED;
  });
  if (!holder.held) GTEST_SKIP() << "the folder for temporary files allows no devices";
  const auto users = usersOf({makedev(1, 5)});
  ASSERT_TRUE(users);
  EXPECT_THAT(*users, Contains(Field(&DeviceUser::pid, holder.pid())));
}

TEST(UsersOfTest, DevicesAreToldApartByNumberNotByName) {
  const FakeSysfs tree;
  fs::create_directories(tree.proc() / "12/fd");
  fs::create_symlink("/dev/null", tree.proc() / "12/fd/3");
  fs::create_directories(tree.proc() / "13/fd");
  fs::create_symlink("/dev/full", tree.proc() / "13/fd/3");
  const auto users = usersOf({kFull}, tree.proc());
  ASSERT_TRUE(users);
  ASSERT_EQ(users->size(), 1U);
  EXPECT_EQ(users->front().pid, 13);
}

TEST(CheckUnusedTest, EveryUserIsNamedWithWhatHelps) {
  EXPECT_TRUE(checkUnused({}));
  const std::string id(64, 'a');
  const auto used = checkUnused({{12, "nvidia-persiste", ""}, {13, "python3", id}});
  ASSERT_FALSE(used);
  EXPECT_EQ(used.error().reason, kDeviceInUse);
  EXPECT_THAT(used.error().message,
              HasSubstr("process 12 (nvidia-persiste), process 13 (python3) in container aaaaaaaaaaaa"));
  ASSERT_EQ(used.error().details.size(), 2U);
  EXPECT_THAT(used.error().details[1].remedy, HasSubstr("stop its container"));
}

}  // namespace
}  // namespace berth::vfio
