// The command line of virtual machines: words to requests, answers to text.
#include <sstream>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "base/text.h"
#include "cli/parser.h"
#include "cli/requests.h"
#include "cli/vm_render.h"
#include "cli/vm_requests.h"

namespace berth::cli {
namespace {

namespace json = boost::json;

http::Request requestOf(const std::vector<std::string>& words) {
  const auto parsed = parse(words);
  const auto* notice = std::get_if<Notice>(&parsed);
  EXPECT_EQ(notice, nullptr) << (notice == nullptr ? "" : notice->text);
  return notice == nullptr ? requestFor(std::get<Arguments>(parsed)) : http::Request{};
}

std::string lineOf(const std::string& line) {
  const http::Request request = requestOf(split(line, ' '));
  return request.method + " " + request.target + (request.body.empty() ? "" : " " + request.body);
}

TEST(VmCliTest, EveryVerbIsOneRequest) {
  EXPECT_EQ(
      lineOf("vm create vm1 --size S --image i --user me --data-disk 4 --data-disk 8 --hold lend --notice 5"),
      R"(PUT /api/v1/vms/vm1 {"size":"S","image":"i","user":"me","hold":"lend","dataDisksGiB":[4,8],)"
      R"("noticeSeconds":5})");
  EXPECT_EQ(lineOf("vm create vm1 --size S --image i --network none"),
            R"(PUT /api/v1/vms/vm1 {"size":"S","image":"i","nics":[]})");
  EXPECT_EQ(lineOf("vm create vm1 --size S --image i --network default --network bridge:br0,10.0.0.5/24"),
            R"(PUT /api/v1/vms/vm1 {"size":"S","image":"i","nics":[{"network":"default"},)"
            R"({"bridge":"br0","address":"10.0.0.5/24"}]})");
  EXPECT_EQ(lineOf("vm list"), "GET /api/v1/vms");
  EXPECT_EQ(lineOf("vm show vm1"), "GET /api/v1/vms/vm1");
  EXPECT_EQ(lineOf("vm start vm1"), "POST /api/v1/vms/vm1/start");
  EXPECT_EQ(lineOf("vm stop vm1 --force --dry-run"),
            R"(POST /api/v1/vms/vm1/stop?dryRun=true {"force":true})");
  EXPECT_EQ(lineOf("vm restart vm1"), "POST /api/v1/vms/vm1/restart");
  EXPECT_EQ(lineOf("vm deallocate vm1"), R"(POST /api/v1/vms/vm1/deallocate {"force":false})");
  EXPECT_EQ(lineOf("vm delete vm1"), "DELETE /api/v1/vms/vm1");
  EXPECT_EQ(lineOf("vm resize vm1 S2"), R"(POST /api/v1/vms/vm1/resize {"size":"S2"})");
  EXPECT_EQ(lineOf("vm hold vm1 lend --at-deadline fail"),
            R"(PUT /api/v1/vms/vm1/hold {"policy":"lend","atDeadline":"fail"})");
  EXPECT_EQ(lineOf("vm disk vm1 3 32"), R"(PUT /api/v1/vms/vm1/disks/3 {"sizeGiB":32})");
  EXPECT_EQ(lineOf("image add d /srv/d.vhd --os Windows --specialized"),
            R"(PUT /api/v1/images/d {"file":"/srv/d.vhd","os":"Windows","osState":"Specialized"})");
  EXPECT_EQ(lineOf("image list"), "GET /api/v1/images");
  EXPECT_EQ(lineOf("image remove d"), "DELETE /api/v1/images/d");
  EXPECT_EQ(lineOf("size list --all"), "GET /api/v1/sizes?all=true");
  EXPECT_EQ(lineOf("size add s --vcpus 1 --memory 256 --gpus 1 --gpu-model T4"),
            R"(POST /api/v1/sizes {"name":"s","vcpus":1,"memoryMiB":256,"gpus":1,"gpuModel":"T4"})");
  EXPECT_EQ(lineOf("size remove s"), "DELETE /api/v1/sizes/s");
}

TEST(VmCliTest, EveryVerbOfAnExtensionIsOneRequest) {
  EXPECT_EQ(lineOf("vm extension add vm1"), "PUT /api/v1/vms/vm1/extensions/gpu-driver");
  EXPECT_EQ(
      lineOf(R"(vm extension add vm1 --name g --type NvidiaGpuDriverLinux --settings {"updateOS":true})"),
      R"(PUT /api/v1/vms/vm1/extensions/g {"type":"NvidiaGpuDriverLinux","settings":{"updateOS":true}})");
  EXPECT_EQ(lineOf("vm extension list vm1"), "GET /api/v1/vms/vm1/extensions");
  EXPECT_EQ(lineOf("vm extension retry vm1 g"), "POST /api/v1/vms/vm1/extensions/g/retry");
  EXPECT_EQ(lineOf("vm extension remove vm1 g --wait"), "DELETE /api/v1/vms/vm1/extensions/g");
}

TEST(VmCliTest, SettingsOfAnExtensionAreJsonOrTheFileWithIt) {
  std::istringstream in("{\"updateOS\": true}");
  VmArguments vm;
  vm.settings = "-";
  ASSERT_TRUE(readVmFiles(vm, in));
  EXPECT_EQ(vm.settings, "{\"updateOS\": true}");
  for (const char* wrong : {"{", "/nonexistent.json"}) {
    vm.settings = wrong;
    EXPECT_FALSE(readVmFiles(vm, in)) << wrong;
  }
}

TEST(VmCliTest, TheTableOfExtensionsSaysWhatIsDoneNowOrHowItEnded) {
  const json::value extensions = json::parse(R"([
    {"name": "a", "type": "T", "state": "Creating", "percent": 50, "message": "installing the driver",
     "outcome": null},
    {"name": "b", "type": "T", "state": "Failed", "percent": 0, "message": "",
     "outcome": {"code": 14, "driverVersion": "", "message": "it failed"}}])");
  EXPECT_EQ(extensionTable(extensions, {}),
            "EXTENSION  TYPE  STATE      %  DRIVER  CODE  MESSAGE\n"
            "a          T     Creating  50  -          -  installing the driver\n"
            "b          T     Failed     -  -         14  it failed\n");
  EXPECT_EQ(extensionTable(json::array{}, {}), "no extensions\n");
}

TEST(VmCliTest, TheAppliancesNamesTakeTheAppliancesWords) {
  EXPECT_EQ(lineOf("Get-HcsVMCustomSizes"), "GET /api/v1/customsizes");
  EXPECT_EQ(lineOf("get-hcsvmcustomsizes -JsonFormat"), "GET /api/v1/customsizes?json=true");
  const http::Request set = requestOf({"Set-HcsVMCustomSizes", "-CustomVMSizesJson", "[{'Name':'x'}]"});
  EXPECT_EQ(set.method + " " + set.target + " " + set.body,
            R"(PUT /api/v1/customsizes {"text":"[{'Name':'x'}]"})");
}

TEST(VmCliTest, CustomDataIsSentAsBase64OfAnyLength) {
  Arguments args;
  args.verb = Verb::VmCreate;
  args.name = "v";
  const std::vector<std::pair<std::string, std::string>> known{
      {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
  for (const auto& [bytes, encoded] : known) {
    args.vm.custom_data = bytes;
    EXPECT_EQ(json::value_to<std::string>(json::parse(requestFor(args).body).at("customData")), encoded);
  }
}

TEST(VmCliTest, APasswordComesFromTheStandardInputWithoutItsLineEnd) {
  std::istringstream in("Secret-1234\n");
  VmArguments vm;
  vm.password_file = "-";
  ASSERT_TRUE(readVmFiles(vm, in));
  EXPECT_EQ(vm.password, "Secret-1234");
  vm.ssh_key_files = {"/nonexistent.pub"};
  vm.password_file.clear();
  EXPECT_FALSE(readVmFiles(vm, in));
}

TEST(VmCliTest, TheTableSaysWhoHasAndWhoLendsAGpu) {
  const json::value vms = json::parse(R"([
    {"name": "vm1", "powerState": "PowerState/running", "provisioningState": "ProvisioningState/succeeded",
     "size": "S", "gpus": [{"index": 0}], "lent": [], "hold": "hold", "nics": [{"addresses": ["10.0.0.5"]}],
     "message": ""},
    {"name": "vm2", "powerState": "PowerState/deallocated", "provisioningState": "ProvisioningState/succeeded",
     "size": "S", "gpus": [], "lent": [1], "hold": "lend", "nics": [], "message": ""}])");
  EXPECT_EQ(vmTable(vms, {}),
            "VM   POWER        PROVISIONING  SIZE  GPU       HOLD  ADDRESS   MESSAGE\n"
            "vm1  running      succeeded     S     0         hold  10.0.0.5  -\n"
            "vm2  deallocated  succeeded     S     1 (lent)  lend  -         -\n");
  EXPECT_EQ(vmTable(json::array{}, {}), "no virtual machines\n");
}

}  // namespace
}  // namespace berth::cli
