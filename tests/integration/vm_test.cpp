// A real guest under a libvirtd of the test's own. Needs root, QEMU and libvirt; skips where one is missing.
#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>
#include <unistd.h>

#include "os/files.h"
#include "os/process.h"
#include "vm/guest_agent.h"
#include "vm/libvirt/libvirt_hypervisor.h"

namespace berth::vm {
namespace {

namespace fs = std::filesystem;

const std::string kTools = std::string(BERTH_SOURCE_DIR) + "/tools/";
const VmName kVm("guest");

Deadline in(int seconds) { return std::chrono::steady_clock::now() + std::chrono::seconds(seconds); }

class VmIntegrationTest : public testing::Test {
 protected:
  void SetUp() override {
    // Minutes under emulation, for a library that the daemon does not use yet.
    if (std::getenv("BERTH_VM_TESTS") == nullptr) GTEST_SKIP() << "boots real guests: set BERTH_VM_TESTS=1";
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    for (const char* program : {"/usr/sbin/libvirtd", "/usr/bin/qemu-system-x86_64", "/usr/bin/mcopy"}) {
      if (!fs::exists(program)) GTEST_SKIP() << "needs " << program;
    }
    dir_ = fs::temp_directory_path() / ("berth-vm-" + std::to_string(getpid()));
    fs::create_directories(dir_);
    uri_ =
        run({kTools + "private-libvirt", "start", dir_ / "libvirt", BERTH_BUILD_DIR "/libvirt-cache"}, 120);
    image_ = run({kTools + "build-guest-image", "tiny", BERTH_BUILD_DIR "/guest-images"}, 300);
    if (image_.empty()) GTEST_SKIP() << "the guest image cannot be built here (needs Debian's packages)";
    ASSERT_FALSE(uri_.empty());
    auto loop = EventLoop::create();
    ASSERT_TRUE(loop) << loop.error().message;
    loop_ = *std::move(loop);
    hypervisor_ = std::make_unique<LibvirtHypervisor>(uri_, *loop_);
  }

  void TearDown() override {
    if (dir_.empty()) return;
    hypervisor_.reset();
    run({kTools + "private-libvirt", "stop", dir_ / "libvirt", BERTH_BUILD_DIR "/libvirt-cache"}, 60);
    fs::remove_all(dir_);
  }

  /// What the program printed, without the line end; empty when it failed.
  std::string run(const std::vector<std::string>& argv, int seconds) {
    os::ProcessSpec spec;
    spec.argv = argv;
    const auto result = runner_.run(spec, in(seconds));
    if (!result || !result->status.success()) return {};
    std::string text = result->output;
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }

  VmSpec guest() {
    VmSpec spec;
    spec.name = kVm;
    spec.id = "test-1";
    spec.uuid = "0b7a5ad3-6b5e-4ff4-9b7c-8a0f51d2a7c1";
    spec.accelerator = Accelerator::Tcg;
    spec.memory = MiB{256};
    spec.os_disk = dir_ / "os.qcow2";
    spec.console_socket = dir_ / "console";
    spec.stand_in_gpus = 1;
    return spec;
  }

  std::string inGuest(const std::string& command) {
    const auto exit = GuestAgent(*hypervisor_, kVm).exec({"/bin/sh", "-c", command}, "", in(20));
    if (!exit) return "error: " + exit.error().message;
    return exit->output + exit->errors;
  }

  using EventLoop = libvirt::EventLoop;
  using LibvirtHypervisor = libvirt::LibvirtHypervisor;
  os::PosixProcessRunner runner_;
  fs::path dir_;
  std::string uri_;
  std::string image_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<LibvirtHypervisor> hypervisor_;
};

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
