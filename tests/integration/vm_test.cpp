// A real guest under a libvirtd of the test's own.
#include "vm_fixture.h"

namespace berth::vm {
namespace {

TEST_F(VmIntegrationTest, AGuestRunsSeesItsStandInKeepsItsDataAndLeavesNothing) {
  run({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image_, dir_ / "os.qcow2"}, 20);
  run({"qemu-img", "create", "-q", "-f", "qcow2", dir_ / "data.qcow2", "64M"}, 20);
  Hypervisor& hypervisor = *hypervisor_;
  GuestAgent agent(hypervisor, kVm);

  ASSERT_EQ(hypervisor.state(kVm, in(60)), DomainState::Absent);
  for (int i = 0; i < 2; ++i) {  // Repeating is a success.
    const auto defined = hypervisor.define(guest(), in(60));
    ASSERT_TRUE(defined) << defined.error().message;
  }
  const auto started = hypervisor.start(kVm, in(60));
  ASSERT_TRUE(started) << started.error().message;
  ASSERT_TRUE(hypervisor.start(kVm, in(60)));
  const auto ready = agent.waitReady(in(150));
  ASSERT_TRUE(ready) << ready.error().message;

  const std::string device = "/sys/bus/pci/devices/" + standInAddress(0).value;
  EXPECT_EQ(inGuest("cat " + device + "/vendor " + device + "/device"), "0x1234\n0x11e8\n");
  ASSERT_TRUE(agent.writeFile("/tmp/hello", "from the host", in(20)));
  EXPECT_EQ(inGuest("cat /tmp/hello"), "from the host");

  const DataDisk disk{5, dir_ / "data.qcow2"};
  const auto attached = hypervisor.attachDisk(kVm, disk, in(20));
  ASSERT_TRUE(attached) << attached.error().message;
  EXPECT_TRUE(hypervisor.attachDisk(kVm, disk, in(20)));
  EXPECT_EQ(inGuest("for i in 1 2 3 4 5 6 7 8 9; do [ -b /dev/sda ] && break; sleep 1; done; "
                    "echo kept | dd of=/dev/sda bs=512 conv=sync 2>/dev/null; sync; echo written"),
            "written\n");

  ASSERT_TRUE(hypervisor.console(kVm, in(5)));
  const auto off = hypervisor.shutdown(kVm, in(30));
  ASSERT_TRUE(off) << off.error().message;
  EXPECT_EQ(hypervisor.state(kVm, in(5)), DomainState::Off);

  ASSERT_TRUE(hypervisor.start(kVm, in(60)));
  ASSERT_TRUE(agent.waitReady(in(150)));
  EXPECT_EQ(inGuest("head -n 1 /dev/sda"), "kept\n");
  const auto detached = hypervisor.detachDisk(kVm, disk.lun, in(20));
  EXPECT_TRUE(detached) << detached.error().message;

  const auto list = hypervisor.list(in(5));
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 1U);
  EXPECT_EQ((*list)[0].berth_id, "test-1");
  EXPECT_EQ((*list)[0].state, DomainState::Running);

  EXPECT_EQ(hypervisor.undefine(kVm, in(5)).error().code, ErrorCode::Conflict);
  ASSERT_TRUE(hypervisor.destroy(kVm, in(20)));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(hypervisor.undefine(kVm, in(5)));
  EXPECT_EQ(hypervisor.state(kVm, in(5)), DomainState::Absent);
  EXPECT_TRUE(hypervisor.list(in(5))->empty());
}

TEST_F(VmIntegrationTest, ALibvirtdThatWasRestartedIsFoundAgain) {
  ASSERT_EQ(hypervisor_->state(kVm, in(60)), DomainState::Absent);
  run({kTools + "private-libvirt", "stop", dir_ / "libvirt", BERTH_BUILD_DIR "/libvirt-cache"}, 60);
  EXPECT_EQ(hypervisor_->state(kVm, in(5)).error().code, ErrorCode::Unavailable);
  ASSERT_FALSE(
      run({kTools + "private-libvirt", "start", dir_ / "libvirt", BERTH_BUILD_DIR "/libvirt-cache"}, 60)
          .empty());
  EXPECT_EQ(hypervisor_->state(kVm, in(60)), DomainState::Absent);
}

}  // namespace
}  // namespace berth::vm
