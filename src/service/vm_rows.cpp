#include "service/vm_rows.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <boost/json.hpp>

#include "http/error_mapping.h"
#include "vm/json.h"

namespace berth::service {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using Time = std::chrono::system_clock::time_point;

constexpr std::string_view kSizesSetting = "vm.sizes";
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

std::int64_t toMs(Time time) {
  return std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count();
}
Time fromMs(std::int64_t ms) { return Time(milliseconds(ms)); }

json::array strings(const std::vector<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

json::object sizeJson(const vm::VmSize& size) {
  return {{"name", size.name},
          {"vcpus", size.vcpus},
          {"memoryMiB", size.memory.value},
          {"maxDataDisks", size.max_data_disks},
          {"maxNics", size.max_nics},
          {"gpuModel", size.gpu_model},
          {"gpus", size.gpus}};
}

json::object nicJson(const VmNic& nic) {
  json::object object{{"network", nic.network}, {"bridge", nic.bridge}, {"mac", nic.mac}};
  if (nic.fixed) {
    object["address"] = nic.fixed->address;
    object["prefix"] = nic.fixed->prefix;
    object["gateway"] = nic.fixed->gateway;
    object["dns"] = strings(nic.fixed->dns);
  }
  return object;
}

json::object askedJson(const VmAsked& asked) {
  json::array disks;
  for (const VmDisk& disk : asked.disks) {
    disks.push_back(json::object{{"lun", disk.lun}, {"bytes", static_cast<std::int64_t>(disk.bytes)}});
  }
  json::array nics;
  for (const VmNic& nic : asked.nics) nics.push_back(nicJson(nic));
  return {{"image", asked.image},
          {"windows", asked.os == vm::GuestOs::Windows},
          {"gen2", asked.generation == vm::Generation::V2},
          {"generalized", asked.generalized},
          {"size", sizeJson(asked.size)},
          {"osDiskBytes", static_cast<std::int64_t>(asked.os_disk_bytes)},
          {"disks", std::move(disks)},
          {"nics", std::move(nics)},
          {"user", asked.user},
          {"password", asked.password},
          {"sshKeys", strings(asked.ssh_keys)},
          {"customData", asked.custom_data_base64},
          {"notice", asked.recall.notice.count()},
          {"atDeadline", name(asked.recall.at_deadline)}};
}

/// The fields of one object of ours; what is wrong with it is damage.
class Fields {
 public:
  Fields(const json::value& value, std::string place) : reader_(value, std::move(place)) {}

  std::string text(std::string_view key) { return reader_.text(key); }
  bool flag(std::string_view key) { return reader_.flagOr(key, false); }
  std::int64_t number(std::string_view key) { return reader_.number(key, 0, kMost); }
  int small(std::string_view key) {
    return static_cast<int>(reader_.number(key, 0, std::numeric_limits<int>::max()));
  }
  bool has(std::string_view key) { return !reader_.textOr(key, "").empty(); }
  std::vector<std::string> strings(std::string_view key) {
    std::vector<std::string> texts;
    each(key, [&](const json::value& item) {
      if (const auto* string = item.if_string()) texts.emplace_back(*string);
    });
    return texts;
  }
  template <typename Fn>
  void each(std::string_view key, Fn fn) {
    const json::value* list = reader_.child(key);
    const json::array* array = list == nullptr ? nullptr : list->if_array();
    if (array == nullptr) return;
    for (const json::value& item : *array) fn(item);
  }
  const json::value* child(std::string_view key) { return reader_.child(key); }
  Result<void> finish() {
    Result<void> done = reader_.finish();
    if (done) return done;
    return fail(ErrorCode::Corrupt, done.error().message);
  }

 private:
  vm::FieldReader reader_;
};

Result<vm::VmSize> sizeFrom(const json::value& value) {
  Fields fields(value, "size");
  vm::VmSize size;
  size.name = fields.text("name");
  size.vcpus = fields.small("vcpus");
  size.memory = MiB{fields.number("memoryMiB")};
  size.max_data_disks = fields.small("maxDataDisks");
  size.max_nics = fields.small("maxNics");
  size.gpu_model = fields.text("gpuModel");
  size.gpus = fields.small("gpus");
  TRY_VOID(fields.finish());
  return size;
}

Result<VmNic> nicFrom(const json::value& value) {
  Fields fields(value, "nic");
  VmNic nic;
  nic.network = fields.text("network");
  nic.bridge = fields.text("bridge");
  nic.mac = fields.text("mac");
  if (fields.has("address")) {
    vm::StaticAddress fixed;
    fixed.address = fields.text("address");
    fixed.prefix = fields.small("prefix");
    fixed.gateway = fields.text("gateway");
    fixed.dns = fields.strings("dns");
    nic.fixed = std::move(fixed);
  }
  TRY_VOID(fields.finish());
  return nic;
}

Result<VmDisk> diskFrom(const json::value& value) {
  Fields fields(value, "disk");
  VmDisk disk;
  disk.lun = fields.small("lun");
  disk.bytes = static_cast<std::uint64_t>(fields.number("bytes"));
  TRY_VOID(fields.finish());
  return disk;
}

Result<void> readAsked(Fields& fields, VmAsked& asked) {
  asked.image = fields.text("image");
  asked.os = fields.flag("windows") ? vm::GuestOs::Windows : vm::GuestOs::Linux;
  asked.generation = fields.flag("gen2") ? vm::Generation::V2 : vm::Generation::V1;
  asked.generalized = fields.flag("generalized");
  asked.os_disk_bytes = static_cast<std::uint64_t>(fields.number("osDiskBytes"));
  asked.user = fields.text("user");
  asked.password = fields.text("password");
  asked.ssh_keys = fields.strings("sshKeys");
  asked.custom_data_base64 = fields.text("customData");
  asked.recall.notice = std::chrono::seconds(fields.number("notice"));
  if (!fromName(fields.text("atDeadline"), asked.recall.at_deadline)) {
    return fail(ErrorCode::Corrupt, "an unknown atDeadline");
  }
  const json::value* size = fields.child("size");
  if (size == nullptr) return fields.finish();
  TRY(asked.size, sizeFrom(*size));
  Result<void> parts;
  const auto keep = [&parts](auto result, auto& list) {
    if (result) {
      list.push_back(*std::move(result));
    } else if (parts) {
      parts = fail(std::move(result).error());
    }
  };
  fields.each("disks", [&](const json::value& item) { keep(diskFrom(item), asked.disks); });
  fields.each("nics", [&](const json::value& item) { keep(nicFrom(item), asked.nics); });
  return parts;
}

std::string errorText(const std::optional<Error>& error) {
  return error ? json::serialize(http::toJson(*error)) : std::string();
}

Result<std::optional<Error>> errorFrom(const std::string& text) {
  if (text.empty()) return std::optional<Error>{};
  boost::system::error_code failed;
  const json::value value = json::parse(text, failed);
  std::optional<Error> error = failed ? std::nullopt : http::errorFromJson(value);
  if (!error) return fail(ErrorCode::Corrupt, "an error that is none");
  return error;
}

std::string addressesText(const std::vector<vm::GuestAddress>& addresses) {
  json::array array;
  for (const vm::GuestAddress& address : addresses) {
    array.push_back(json::object{{"mac", address.mac}, {"address", address.address}});
  }
  return json::serialize(array);
}

Result<std::vector<vm::GuestAddress>> addressesFrom(const std::string& text) {
  std::vector<vm::GuestAddress> addresses;
  TRY(const json::value value, vm::parseJson(text, "addresses"));
  const json::array* array = value.if_array();
  if (array == nullptr) return fail(ErrorCode::Corrupt, "addresses that are no list");
  for (const json::value& item : *array) {
    Fields fields(item, "address");
    vm::GuestAddress address{fields.text("mac"), fields.text("address")};
    TRY_VOID(fields.finish());
    addresses.push_back(std::move(address));
  }
  return addresses;
}

template <typename Names, typename Enum>
bool lookUp(const Names& names, std::string_view text, Enum& out) {
  for (const Enum each : names) {
    if (name(each) != text) continue;
    out = each;
    return true;
  }
  return false;
}

constexpr std::array kDesired{VmDesired::Running, VmDesired::Stopped, VmDesired::Deallocated,
                              VmDesired::Deleted};
constexpr std::array kImageStates{ImageRecord::State::Importing, ImageRecord::State::Ready,
                                  ImageRecord::State::Failed};

template <typename Record, typename Put, typename Delete>
Result<void> writeMap(const std::map<std::string, std::shared_ptr<const Record>>& before,
                      const std::map<std::string, std::shared_ptr<const Record>>& after, Put put,
                      Delete remove) {
  for (const auto& [name, record] : before) {
    if (!after.contains(name)) TRY_VOID(remove(name));
  }
  for (const auto& [name, record] : after) {
    const auto old = before.find(name);
    if (old != before.end() && old->second == record) continue;
    TRY_VOID(put(toRow(*record)));
  }
  return {};
}

}  // namespace

ledger::VmRecord toRow(const VmRecord& vm) {
  json::object spec = askedJson(vm.asked);
  spec["fallback"] = vm::armCode(vm.fallback);
  spec["recalling"] = vm.recalling;
  spec["evicting"] = vm.evicting;
  spec["hasRun"] = vm.has_run;
  spec["accelerator"] = vm.accelerator;
  ledger::VmRecord row;
  row.name = vm.name;
  row.uuid = vm.uuid;
  row.spec = json::serialize(spec);
  row.desired = std::string(name(vm.desired));
  row.power = std::string(vm::armCode(vm.power));
  row.provisioning = std::string(vm::armName(vm.provisioning));
  row.policy = std::string(vm::name(vm.policy));
  row.restarts_wanted = vm.restarts_wanted;
  row.restarts_done = vm.restarts_done;
  row.attempts = vm.attempts;
  row.deadline = toMs(vm.deadline);
  row.boot_id = vm.boot_id;
  row.addresses = addressesText(vm.addresses);
  row.message = vm.message;
  row.error = errorText(vm.error);
  row.created = toMs(vm.created);
  return row;
}

Result<VmRecord> fromRow(const ledger::VmRecord& row) {
  VmRecord vm;
  vm.name = row.name;
  vm.uuid = row.uuid;
  TRY(const json::value value, vm::parseJson(row.spec, "spec"));
  Fields fields(value, "spec");
  TRY_VOID(readAsked(fields, vm.asked));
  const bool known = vm::fromArmCode(fields.text("fallback"), vm.fallback) &&
                     lookUp(kDesired, row.desired, vm.desired) && vm::fromArmCode(row.power, vm.power) &&
                     vm::fromArmName(row.provisioning, vm.provisioning) &&
                     vm::fromName(row.policy, vm.policy);
  if (!known) return fail(ErrorCode::Corrupt, "an unknown state");
  vm.recalling = fields.flag("recalling");
  vm.evicting = fields.flag("evicting");
  vm.has_run = fields.flag("hasRun");
  vm.accelerator = fields.text("accelerator");
  TRY_VOID(fields.finish());
  vm.restarts_wanted = row.restarts_wanted;
  vm.restarts_done = row.restarts_done;
  vm.attempts = row.attempts;
  vm.deadline = fromMs(row.deadline);
  vm.boot_id = row.boot_id;
  TRY(vm.addresses, addressesFrom(row.addresses));
  vm.message = row.message;
  TRY(vm.error, errorFrom(row.error));
  vm.created = fromMs(row.created);
  return vm;
}

ledger::ImageRecord toRow(const ImageRecord& image) {
  ledger::ImageRecord row;
  row.name = image.info.name;
  row.source = image.source;
  row.spec = json::serialize(json::object{{"windows", image.info.os == vm::GuestOs::Windows},
                                          {"gen2", image.info.generation == vm::Generation::V2},
                                          {"generalized", image.info.generalized}});
  row.desired = image.wanted ? "present" : "deleted";
  row.state = std::string(name(image.state));
  row.percent = image.percent;
  row.virtual_bytes = static_cast<std::int64_t>(image.info.virtual_bytes);
  row.sha256 = image.info.sha256;
  row.error = errorText(image.error);
  row.created = toMs(image.created);
  return row;
}

Result<ImageRecord> fromRow(const ledger::ImageRecord& row) {
  ImageRecord image;
  image.info.name = row.name;
  image.source = row.source;
  TRY(const json::value value, vm::parseJson(row.spec, "spec"));
  Fields fields(value, "spec");
  image.info.os = fields.flag("windows") ? vm::GuestOs::Windows : vm::GuestOs::Linux;
  image.info.generation = fields.flag("gen2") ? vm::Generation::V2 : vm::Generation::V1;
  image.info.generalized = fields.flag("generalized");
  TRY_VOID(fields.finish());
  image.wanted = row.desired == "present";
  if (!lookUp(kImageStates, row.state, image.state)) return fail(ErrorCode::Corrupt, "an unknown state");
  image.percent = row.percent;
  image.info.virtual_bytes = static_cast<std::uint64_t>(row.virtual_bytes);
  image.info.sha256 = row.sha256;
  TRY(image.error, errorFrom(row.error));
  image.created = fromMs(row.created);
  return image;
}

Result<void> readVms(ledger::Ledger& ledger, Book& book) {
  const auto corrupt = [](const Error& error, const std::string& what) {
    return fail(ErrorCode::Corrupt, what + ": " + error.message);
  };
  TRY(const std::vector<ledger::VmRecord> vms, ledger.vms());
  for (const ledger::VmRecord& row : vms) {
    Result<VmRecord> vm = fromRow(row);
    if (!vm) return corrupt(vm.error(), "VM " + row.name);
    book.vms[row.name] = std::make_shared<const VmRecord>(*std::move(vm));
  }
  TRY(const std::vector<ledger::ImageRecord> images, ledger.images());
  for (const ledger::ImageRecord& row : images) {
    Result<ImageRecord> image = fromRow(row);
    if (!image) return corrupt(image.error(), "image " + row.name);
    book.images[row.name] = std::make_shared<const ImageRecord>(*std::move(image));
  }
  TRY(const std::optional<std::string> sizes, ledger.setting(kSizesSetting));
  book.sizes = sizes.value_or("");
  return {};
}

Result<void> writeVms(ledger::Transaction& transaction, const Book& before, const Book& after) {
  TRY_VOID(writeMap<VmRecord>(
      before.vms, after.vms, [&](const ledger::VmRecord& row) { return transaction.putVm(row); },
      [&](const std::string& name) { return transaction.deleteVm(name); }));
  TRY_VOID(writeMap<ImageRecord>(
      before.images, after.images, [&](const ledger::ImageRecord& row) { return transaction.putImage(row); },
      [&](const std::string& name) { return transaction.deleteImage(name); }));
  if (before.sizes == after.sizes) return {};
  return transaction.putSetting(kSizesSetting, after.sizes);
}

}  // namespace berth::service
