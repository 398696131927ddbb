#include "vm/domain_xml.h"

#include <gtest/gtest.h>
#include <pugixml.hpp>

#include "vm/fake_hypervisor.h"
#include "vm/guest_agent.h"

namespace berth::vm {
namespace {

VmSpec spec() {
  VmSpec vm;
  vm.name = VmName("vm1");
  vm.id = "id-1";
  vm.uuid = "11111111-2222-3333-4444-555555555555";
  vm.vcpus = 2;
  vm.memory = MiB{512};
  vm.os_disk = "/d/os.qcow2";
  vm.seed_iso = "/d/seed.iso";
  vm.console_socket = "/d/console";
  vm.data_disks = {{3, "/d/data.qcow2"}};
  vm.nics = {{"52:54:00:00:00:01", "net", ""}, {"52:54:00:00:00:02", "", "br0"}};
  return vm;
}

std::string at(const std::string& xml, const char* path) {
  pugi::xml_document document;
  EXPECT_TRUE(document.load_string(xml.c_str()));
  return document.select_node(path).attribute() ? document.select_node(path).attribute().value()
                                                : document.select_node(path).node().child_value();
}

TEST(DomainXmlTest, Gen1IsI440fxWithoutFirmware) {
  const auto xml = domainXml(spec());
  ASSERT_TRUE(xml) << xml.error().message;
  EXPECT_EQ(at(*xml, "/domain/@type"), "kvm");
  EXPECT_EQ(at(*xml, "/domain/os/type/@machine"), "pc");
  EXPECT_EQ(at(*xml, "/domain/memory"), "512");
  EXPECT_EQ(at(*xml, "/domain/devices/disk[target/@dev='vdb']/source/@file"), "/d/seed.iso");
  EXPECT_EQ(at(*xml, "/domain/os/loader/@type"), "");
}

TEST(DomainXmlTest, Gen2IsQ35WithVariablesOfItsOwn) {
  VmSpec vm = spec();
  vm.generation = Generation::V2;
  vm.firmware.vars = "/d/vars.fd";
  vm.accelerator = Accelerator::Tcg;
  const auto xml = domainXml(vm);
  ASSERT_TRUE(xml);
  EXPECT_EQ(at(*xml, "/domain/@type"), "qemu");
  EXPECT_EQ(at(*xml, "/domain/os/type/@machine"), "q35");
  EXPECT_EQ(at(*xml, "/domain/os/nvram"), "/d/vars.fd");
}

TEST(DomainXmlTest, A7AGpuIsAHostdevThatLibvirtDoesNotManage) {
  VmSpec vm = spec();
  vm.gpus = {PciAddress("0000:3b:00.0")};
  const auto xml = domainXml(vm);
  ASSERT_TRUE(xml);
  EXPECT_EQ(at(*xml, "/domain/devices/hostdev/@managed"), "no");
  EXPECT_EQ(at(*xml, "/domain/devices/hostdev/source/address/@bus"), "0x3b");
}

TEST(DomainXmlTest, WhatIsWrittenIsReadBack) {
  VmSpec vm = spec();
  vm.gpus = {PciAddress("0001:3b:1f.7")};
  vm.stand_in_gpus = 2;
  const auto read = readDomain(*domainXml(vm));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->name, "berth-vm1");
  EXPECT_EQ(read->vm_name, "vm1");
  EXPECT_EQ(read->berth_id, "id-1");
  EXPECT_EQ(read->data_disks, vm.data_disks);
  EXPECT_EQ(read->nics, vm.nics);
  EXPECT_EQ(read->gpus, vm.gpus);
  EXPECT_EQ(read->stand_in_gpus, 2);
  EXPECT_EQ(read->console_socket, "/d/console");
}

TEST(DomainXmlTest, MarkupInAPathStaysText) {
  VmSpec vm = spec();
  vm.os_disk = "/d/a'/><evil x='\"&.qcow2";
  const auto xml = domainXml(vm);
  ASSERT_TRUE(xml);
  EXPECT_EQ(at(*xml, "/domain/devices/disk[target/@dev='vda']/source/@file"), vm.os_disk.string());
  EXPECT_EQ(xml->find("<evil"), std::string::npos);
}

TEST(DomainXmlTest, BadValuesAreRefused) {
  const auto refuses = [](auto change) {
    VmSpec vm = spec();
    change(vm);
    const auto xml = domainXml(vm);
    return !xml && xml.error().code == ErrorCode::InvalidArgument;
  };
  EXPECT_TRUE(refuses([](VmSpec& vm) { vm.name = VmName("a b"); }));
  EXPECT_TRUE(refuses([](VmSpec& vm) { vm.vcpus = 0; }));
  EXPECT_TRUE(refuses([](VmSpec& vm) { vm.os_disk = "relative"; }));
  EXPECT_TRUE(refuses([](VmSpec& vm) { vm.os_disk = "/a\nb"; }));
  EXPECT_TRUE(refuses([](VmSpec& vm) { vm.gpus = {PciAddress("3b:00.0")}; }));
  EXPECT_TRUE(refuses([](VmSpec& vm) { vm.nics[0].mac = "nope"; }));
  EXPECT_TRUE(refuses([](VmSpec& vm) { vm.data_disks.push_back({3, "/other"}); }));
  EXPECT_TRUE(refuses([](VmSpec& vm) { vm.data_disks = {{64, "/other"}}; }));
  EXPECT_FALSE(refuses([](VmSpec& vm) { vm.data_disks = {{63, "/other"}}; }));
}

TEST(DomainXmlTest, ADomainOfSomebodyElseHasNoBerthId) {
  const auto read =
      readDomain("<domain><name>x</name><metadata><a:vm xmlns:a='http://else' id='1'/></metadata></domain>");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->berth_id, "");
  EXPECT_EQ(readDomain("<nope/>").error().code, ErrorCode::Corrupt);
}

TEST(NetworkXmlTest, ADhcpRangeOutsideTheNetworkIsRefused) {
  const NatNetwork good{"net", "", "berth0", "192.168.77.1", 24, "192.168.77.2", "192.168.77.254"};
  EXPECT_TRUE(networkXml(good));
  NatNetwork bad = good;
  bad.dhcp_last = "192.168.78.1";
  EXPECT_FALSE(networkXml(bad));
}

TEST(GuestAgentTest, ExecReturnsWhatTheProgramSaid) {
  FakeHypervisor hypervisor;
  hypervisor.domains[VmName("vm1")].agent = [](const std::string& command) -> Result<std::string> {
    if (command.find("\"guest-exec\"") != std::string::npos) return std::string(R"({"return":{"pid":7}})");
    return std::string(R"({"return":{"exited":true,"exitcode":3,"out-data":"aGVsbG8="}})");
  };
  GuestAgent agent(hypervisor, VmName("vm1"));
  const auto exit = agent.exec({"/bin/x"}, "", Deadline::max());
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->code, 3);
  EXPECT_EQ(exit->output, "hello");
}

TEST(GuestAgentTest, ARefusalKeepsTheGuestsWords) {
  FakeHypervisor hypervisor;
  hypervisor.domains[VmName("vm1")].agent = [](const std::string&) -> Result<std::string> {
    return std::string(R"({"error":{"class":"GenericError","desc":"No such file"}})");
  };
  const auto result = GuestAgent(hypervisor, VmName("vm1")).ping(Deadline::max());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().reason, "AgentError");
  EXPECT_NE(result.error().message.find("No such file"), std::string::npos);
}

TEST(Base64Test, EveryLengthComesBack) {
  std::string bytes;
  for (int i = 0; i < 260; ++i) {
    EXPECT_EQ(base64Decode(base64Encode(bytes)), bytes);
    bytes += static_cast<char>(i);
  }
  EXPECT_EQ(base64Decode("a"), std::nullopt);
  EXPECT_EQ(base64Decode("a b="), std::nullopt);
  EXPECT_EQ(base64Decode("=aaa"), std::nullopt);
}

}  // namespace
}  // namespace berth::vm
