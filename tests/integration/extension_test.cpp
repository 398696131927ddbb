// The driver extension on a real guest, with a driver bundle of our own that looks for its PCI device.
#include <fstream>
#include <utility>

#include <gmock/gmock.h>

#include "vm/extension/bundle.h"
#include "vm/extension/request.h"
#include "vm/extension/runner.h"
#include "vm_fixture.h"

namespace berth::vm::extension {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<gpu::PciId> kStandIns{{0x1234, 0x11e8}};

class ExtensionIntegrationTest : public VmIntegrationTest {
 protected:
  /// A bundle whose installer and remover are these scripts.
  void addBundle(const std::string& version, const std::string& install, const std::string& remove) {
    const fs::path folder = dir_ / "drivers" / version;
    fs::create_directories(folder);
    std::ofstream(folder / "install.sh") << install;
    std::ofstream(folder / "remove.sh") << remove;
    std::ofstream(folder / "bundle.json")
        << R"({"type":"NvidiaGpuDriverLinux","version":")" << version
        << R"(","systems":["Debian 12"],"install":"install.sh","remove":"remove.sh"})";
    run({"sh", "-c", "cd " + folder.string() + " && sha256sum install.sh remove.sh >SHA256SUMS"}, 20);
  }

  /// Version 1.0 installs where it finds its device; 0.9 meets a locked package manager.
  void addBundles() {
    addBundle("1.0",
              "for d in /sys/bus/pci/devices/*; do\n"
              "  if [ \"$(cat $d/vendor):$(cat $d/device)\" = 0x1234:0x11e8 ]; then\n"
              "    mkdir -p /opt/stand-in; basename $d >/opt/stand-in/device; echo found ${d##*/}; exit 0\n"
              "  fi\n"
              "done\n"
              "exit 11\n",
              "rm -r /opt/stand-in && echo gone\n");
    addBundle("0.9", "echo 'E: Could not get lock /var/lib/dpkg/lock-frontend'; exit 100\n", "exit 1\n");
  }

  void startGuest() {
    run({"qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image_, dir_ / "os.qcow2"}, 20);
    const auto defined = hypervisor_->define(guest(), in(60));
    ASSERT_TRUE(defined) << defined.error().message;
    const auto started = hypervisor_->start(kVm, in(60));
    ASSERT_TRUE(started) << started.error().message;
    const auto ready = GuestAgent(*hypervisor_, kVm).waitReady(in(200));
    ASSERT_TRUE(ready) << ready.error().message;
  }

  Job job(const Record& record) {
    Job what;
    what.record = record;
    what.settings = *parseSettings(record.request.settings);
    what.also_gpus = kStandIns;
    what.offer.bundles = readShelf(dir_ / "drivers").bundles;
    return what;
  }

  /// The record after its attempt.
  Record attempt(const Record& record, bool removing = false) {
    GuestAgent agent(*hypervisor_, kVm);
    Installer installer(agent, runner_, std::chrono::milliseconds(100));
    const auto silent = [](int, const std::string&) {};
    const auto outcome = removing ? installer.remove(job(record), silent, in(60))
                                  : installer.install(job(record), silent, in(60));
    EXPECT_TRUE(outcome) << outcome.error().message;
    return outcome ? finish(record, *outcome) : record;
  }

  static Request wanting(const std::string& version) {
    return {"gpu", kPublisher, kLinuxType, "1.8", R"({"driverVersion":")" + version + R"("})"};
  }
};

TEST_F(ExtensionIntegrationTest, AnInstallationFailsIsRetriedUpdatedSucceedsAndIsRemoved) {
  addBundles();
  startGuest();

  Record record = attempt(begin(wanting("0.9")));
  EXPECT_EQ(record.state, State::Failed);
  EXPECT_EQ(record.outcome->code, kLinuxFailed);
  EXPECT_THAT(record.outcome->message, HasSubstr("package manager"));
  record = attempt(*retry(record));
  EXPECT_EQ(record.state, State::Failed);
  EXPECT_EQ(record.attempt, 2);

  record = attempt(*update(record, wanting("1.0")));
  ASSERT_EQ(record.state, State::Succeeded) << record.outcome->message << record.outcome->output;
  EXPECT_EQ(record.outcome->message, "driver 1.0 is installed");
  EXPECT_THAT(record.outcome->warnings,
              ElementsAre(HasSubstr("was not tested")));  // The tiny guest is no Debian.
  EXPECT_EQ(inGuest("cat /opt/stand-in/device"), standInAddress(0).value + "\n");
  EXPECT_THAT(inGuest("cat /var/log/azure/nvidia-vmext-status"),
              HasSubstr("success 0 driver 1.0 is installed"));

  record = attempt(*extension::remove(record), true);
  EXPECT_EQ(record.outcome->message, "driver 1.0 was removed from the guest");
  EXPECT_EQ(inGuest("ls /opt/stand-in /var/lib/berth-extension 2>&1 | wc -l"), "2\n");

  Job blind = job(begin(wanting("1.0")));
  blind.also_gpus.clear();
  GuestAgent agent(*hypervisor_, kVm);
  const auto unseen = Installer(agent, runner_, std::chrono::milliseconds(100))
                          .install(blind, [](int, const std::string&) {}, in(60));
  ASSERT_TRUE(unseen);
  EXPECT_EQ(unseen->code, kLinuxNoGpu);
}

}  // namespace
}  // namespace berth::vm::extension
