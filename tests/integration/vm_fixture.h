// A libvirtd of the test's own and a guest's image, for tests with real guests. Needs root, QEMU and libvirt;
// skips where one is missing, and without BERTH_VM_TESTS.
#pragma once

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "os/files.h"
#include "os/process.h"
#include "vm/guest_agent.h"
#include "vm/libvirt/libvirt_hypervisor.h"

namespace berth::vm {

namespace fs = std::filesystem;

inline const std::string kTools = std::string(BERTH_SOURCE_DIR) + "/tools/";
inline const VmName kVm("guest");

inline Deadline in(int seconds) { return std::chrono::steady_clock::now() + std::chrono::seconds(seconds); }

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

}  // namespace berth::vm
