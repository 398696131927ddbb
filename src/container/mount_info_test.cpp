#include "container/mount_info.h"

#include <gtest/gtest.h>

namespace berth::container {
namespace {

TEST(MountInfoTest, TheLinesOfARealContainerAreRead) {
  const auto mounts = parseMountInfo(
      "521 455 0:47 / / rw,relatime master:32 - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w\n"
      "530 521 254:0 /srv/gpu0.state /run/berth-sim/gpu0.state rw,relatime - ext4 /dev/root rw\n"
      "531 521 254:0 /srv/lib/libcuda.so.1 /usr/lib/x86_64-linux-gnu/libcuda.so.1 ro,nosuid,nodev,relatime "
      "shared:1 master:2 - ext4 /dev/root rw\n");
  ASSERT_TRUE(mounts) << mounts.error().message;
  ASSERT_EQ(mounts->size(), 3U);
  EXPECT_EQ((*mounts)[0], (MountPoint{"/", "/", false}));
  EXPECT_EQ((*mounts)[1], (MountPoint{"/srv/gpu0.state", "/run/berth-sim/gpu0.state", false}));
  EXPECT_EQ((*mounts)[2],
            (MountPoint{"/srv/lib/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1", true}));
}

TEST(MountInfoTest, EscapedNamesAreUnescaped) {
  const auto mounts = parseMountInfo("1 2 0:1 /a\\040b /c\\134d\\011e rw - tmpfs none rw\n");
  ASSERT_TRUE(mounts);
  EXPECT_EQ((*mounts)[0].root, "/a b");
  EXPECT_EQ((*mounts)[0].target, "/c\\d\te");
}

TEST(MountInfoTest, ABackslashThatEscapesNothingStays) {
  const auto mounts = parseMountInfo("1 2 0:1 / /a\\9b\\40 rw - tmpfs none rw\n");
  ASSERT_TRUE(mounts);
  EXPECT_EQ((*mounts)[0].target, "/a\\9b\\40");
}

TEST(MountInfoTest, ReadOnlyIsTheMountsOptionAndNotTheFileSystems) {
  const auto mounts =
      parseMountInfo("1 2 0:1 / /a rw,nosuid - ext4 /dev/x ro\n1 2 0:1 / /b nosuid,ro - ext4 x rw\n");
  ASSERT_TRUE(mounts);
  EXPECT_FALSE((*mounts)[0].read_only);
  EXPECT_TRUE((*mounts)[1].read_only);
}

TEST(MountInfoTest, ALineThatIsNoMountIsNamed) {
  for (const std::string bad :
       {"", "nonsense", "1 2 0:1 / /a rw", "1 2 0:1 / /a rw shared:1 tmpfs none rw"}) {
    const auto mounts = parseMountInfo("1 2 0:1 / /a rw - tmpfs none rw\n" + bad + "\n");
    ASSERT_FALSE(mounts) << bad;
    EXPECT_EQ(mounts.error().code, ErrorCode::Corrupt);
    EXPECT_NE(mounts.error().message.find("line 2"), std::string::npos);
  }
}

TEST(MountInfoTest, NothingMountedIsAnEmptyList) {
  const auto mounts = parseMountInfo("");
  ASSERT_TRUE(mounts);
  EXPECT_TRUE(mounts->empty());
}

}  // namespace
}  // namespace berth::container
