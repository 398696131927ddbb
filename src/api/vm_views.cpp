#include "api/vm_views.h"

#include <boost/json.hpp>

#include "api/views.h"
#include "base/text.h"
#include "http/error_mapping.h"

namespace berth::api {
namespace {

namespace json = boost::json;

std::string_view osName(vm::GuestOs os) { return os == vm::GuestOs::Windows ? "Windows" : "Linux"; }
std::string_view generationName(vm::Generation generation) {
  return generation == vm::Generation::V2 ? "V2" : "V1";
}
std::string_view originName(vm::SizeOrigin origin) {
  switch (origin) {
    case vm::SizeOrigin::Builtin:
      return "builtin";
    case vm::SizeOrigin::Custom:
      return "custom";
    case vm::SizeOrigin::User:
      break;
  }
  return "user";
}

json::array gpusJson(const std::vector<ledger::Gpu>& gpus) {
  json::array rows;
  int stand_ins = 0;
  for (const ledger::Gpu& gpu : gpus) {
    json::object row{{"index", gpu.index},
                     {"uuid", gpu.uuid.value},
                     {"pciAddress", gpu.pci.value},
                     {"name", gpu.name},
                     {"simulated", gpu.simulated}};
    // What the guest has in its place: QEMU's `edu` device, 1234:11e8.
    if (gpu.simulated) row["standIn"] = vm::standInAddress(stand_ins++).value;
    rows.push_back(std::move(row));
  }
  return rows;
}

json::array nicsJson(const service::VmRecord& vm) {
  json::array rows;
  for (std::size_t i = 0; i < vm.asked.nics.size(); ++i) {
    const service::VmNic& nic = vm.asked.nics[i];
    const std::string mac = nic.mac.empty() ? vm::macAddress(vm.uuid, static_cast<int>(i)) : nic.mac;
    json::object row{{"mac", mac}};
    if (!nic.bridge.empty()) {
      row["bridge"] = nic.bridge;
    } else {
      row["network"] = nic.network.empty() ? service::defaultNetwork().name : nic.network;
    }
    json::array addresses;
    if (nic.fixed) addresses.emplace_back(nic.fixed->address);
    for (const vm::GuestAddress& address : vm.addresses) {
      if (toLower(address.mac) == toLower(mac)) addresses.emplace_back(address.address);
    }
    row["addresses"] = std::move(addresses);
    rows.push_back(std::move(row));
  }
  return rows;
}

json::array disksJson(const service::VmRecord& vm) {
  json::array rows;
  for (const service::VmDisk& disk : vm.asked.disks) {
    rows.push_back(json::object{{"lun", disk.lun}, {"bytes", static_cast<std::int64_t>(disk.bytes)}});
  }
  return rows;
}

}  // namespace

json::object vmJson(const ledger::State& state, const service::VmRecord& vm) {
  const std::vector<ledger::Gpu> gpus = service::gpusOf(state, vm.name);
  json::array lent;
  bool recalled = false;
  for (const ledger::Loan& loan : state.loans) {
    const ledger::Gpu* gpu = ledger::findGpu(state, loan.gpu);
    if (loan.vm != vm.name || gpu == nullptr) continue;
    lent.push_back(gpu->index);
    recalled = recalled || loan.recalled;
  }
  bool simulated = false;
  for (const ledger::Gpu& gpu : gpus) simulated = simulated || gpu.simulated;
  json::object object{{"name", vm.name},
                      {"id", vm.uuid},
                      {"powerState", vm::armCode(vm.power)},
                      {"provisioningState", "ProvisioningState/" + toLower(vm::armName(vm.provisioning))},
                      {"size", vm.asked.size.name},
                      {"vcpus", vm.asked.size.vcpus},
                      {"memoryMiB", vm.asked.size.memory.value},
                      {"gpuCount", vm.asked.size.gpus},
                      {"gpus", gpusJson(gpus)},
                      {"simulated", simulated},
                      {"hold", vm::name(vm.policy)},
                      {"lent", std::move(lent)},
                      {"calledBack", recalled},
                      {"noticeSeconds", vm.asked.recall.notice.count()},
                      {"atDeadline", service::name(vm.asked.recall.at_deadline)},
                      {"image", vm.asked.image},
                      {"os", osName(vm.asked.os)},
                      {"generation", generationName(vm.asked.generation)},
                      {"accelerator", vm.accelerator},
                      {"user", vm.asked.user},
                      {"nics", nicsJson(vm)},
                      {"disks", disksJson(vm)},
                      {"message", vm.message},
                      {"created", timestamp(vm.created)}};
  object["error"] = vm.error ? json::value(http::toJson(*vm.error)) : json::value(nullptr);
  return object;
}

json::array vmArray(const service::Book& book) {
  json::array rows;
  for (const auto& [name, vm] : book.vms) rows.push_back(vmJson(book.state, *vm));
  return rows;
}

json::object sizeJson(const vm::VmSize& size, const service::Book& book) {
  json::array used_by;
  for (const auto& [name, vm] : book.vms) {
    if (toLower(vm->asked.size.name) == toLower(size.name)) used_by.emplace_back(name);
  }
  return {{"name", size.name},
          {"vcpus", size.vcpus},
          {"memoryMiB", size.memory.value},
          {"gpus", size.gpus},
          {"gpuModel", size.gpu_model},
          {"gpuMemoryGiB", size.gpu_memory_gib},
          {"tempGiB", size.temp_gib},
          {"maxDataDisks", size.max_data_disks},
          {"maxNics", size.max_nics},
          {"origin", originName(size.origin)},
          {"usedBy", std::move(used_by)}};
}

json::object imageJson(const service::ImageRecord& image) {
  json::object object{{"name", image.info.name},
                      {"state", image.wanted ? service::name(image.state) : "removing"},
                      {"percent", image.percent},
                      {"os", osName(image.info.os)},
                      {"generation", generationName(image.info.generation)},
                      {"osState", image.info.generalized ? "Generalized" : "Specialized"},
                      {"virtualBytes", static_cast<std::int64_t>(image.info.virtual_bytes)},
                      {"sha256", image.info.sha256},
                      {"source", image.source},
                      {"created", timestamp(image.created)}};
  object["error"] = image.error ? json::value(http::toJson(*image.error)) : json::value(nullptr);
  return object;
}

}  // namespace berth::api
