#include "api/vm_routes.h"

#include <memory>
#include <utility>

#include <boost/json.hpp>

#include "api/bodies.h"
#include "api/vm_views.h"
#include "base/text.h"
#include "vm/custom_sizes.h"

namespace berth::api {
namespace {

namespace json = boost::json;
using http::Duration;
using http::Role;
using http::Route;
using http::ServerRequest;
using http::ServerResponse;
using service::DryRun;
using service::Force;

constexpr std::size_t kMaxVmBody = std::size_t{256} * 1024;  // Custom data is at most 64 KiB, as base64.
constexpr std::size_t kMaxSmallBody = 4096;
constexpr std::int64_t kMaxGiB = std::int64_t{1} << 20;
constexpr int kGiBShift = 30;
constexpr int kMaxPrefix = 32;

Result<std::uint64_t> gibToBytes(std::int64_t gib) {
  if (gib >= 1 && gib <= kMaxGiB) return static_cast<std::uint64_t>(gib) << kGiBShift;
  return fail(ErrorCode::InvalidArgument, "a disk has 1 to 1048576 GiB");
}

/// "10.0.0.5/24", with gateway and dns beside it.
Result<std::optional<vm::StaticAddress>> staticAddress(const json::object& nic) {
  TRY(const std::optional<std::string> text, optionalText(nic, "address"));
  if (!text) return std::optional<vm::StaticAddress>{};
  vm::StaticAddress fixed;
  const std::vector<std::string> halves = split(*text, '/');
  const auto prefix = halves.size() == 2 ? parseWholeNumber(halves[1]) : std::nullopt;
  if (!prefix || *prefix > kMaxPrefix) {
    return fail(ErrorCode::InvalidArgument, "\"" + *text + "\" is no address like 10.0.0.5/24");
  }
  fixed.address = halves[0];
  fixed.prefix = static_cast<int>(*prefix);
  TRY(const std::optional<std::string> gateway, optionalText(nic, "gateway"));
  fixed.gateway = gateway.value_or("");
  TRY(fixed.dns, textsOf(nic, "dns"));
  return std::optional(std::move(fixed));
}

Result<service::VmNic> nicOf(const json::value& value) {
  if (!value.is_object()) return fail(ErrorCode::InvalidArgument, "\"nics\" must be a list of objects");
  const json::object& object = value.get_object();
  TRY_VOID(checkFields(object, {"network", "bridge", "mac", "address", "gateway", "dns"}).during("nics"));
  service::VmNic nic;
  TRY(const std::optional<std::string> network, optionalText(object, "network"));
  TRY(const std::optional<std::string> bridge, optionalText(object, "bridge"));
  TRY(const std::optional<std::string> mac, optionalText(object, "mac"));
  if (network && bridge) return fail(ErrorCode::InvalidArgument, "a NIC has a network or a bridge");
  if (network && *network != "default") nic.network = *network;
  nic.bridge = bridge.value_or("");
  nic.mac = mac.value_or("");
  TRY(nic.fixed, staticAddress(object));
  return nic;
}

/// No list: one NIC on Berth's own network. An empty one: none.
Result<std::vector<service::VmNic>> nicsOf(const json::object& body) {
  const json::value* value = body.if_contains("nics");
  if (value == nullptr || value->is_null()) return std::vector<service::VmNic>(1);
  if (!value->is_array()) return fail(ErrorCode::InvalidArgument, "\"nics\" must be a list of objects");
  std::vector<service::VmNic> nics;
  for (const json::value& item : value->get_array()) {
    TRY(service::VmNic nic, nicOf(item));
    nics.push_back(std::move(nic));
  }
  return nics;
}

Result<std::vector<std::uint64_t>> disksOf(const json::object& body) {
  std::vector<std::uint64_t> disks;
  const json::value* value = body.if_contains("dataDisksGiB");
  if (value == nullptr || value->is_null()) return disks;
  const json::array* array = value->if_array();
  for (std::size_t i = 0; array != nullptr && i < array->size(); ++i) {
    if (!(*array)[i].is_int64()) array = nullptr;
    if (array == nullptr) break;
    TRY(const std::uint64_t bytes, gibToBytes((*array)[i].get_int64()));
    disks.push_back(bytes);
  }
  if (array == nullptr)
    return fail(ErrorCode::InvalidArgument, "\"dataDisksGiB\" must be a list of whole numbers");
  return disks;
}

Result<vm::GpuPolicy> policyOf(const std::string& text) {
  vm::GpuPolicy policy{};
  if (vm::fromName(text, policy)) return policy;
  return fail(ErrorCode::InvalidArgument,
              "there is no GPU policy \"" + text + "\"; there are hold, lend and release");
}

/// Only when one of its fields is given.
Result<std::optional<service::RecallTerms>> recallOf(const json::object& body) {
  service::RecallTerms terms;
  TRY(const std::optional<std::int64_t> notice, optionalNumber(body, "noticeSeconds"));
  TRY(const std::optional<std::string> at_deadline, optionalText(body, "atDeadline"));
  if (!notice && !at_deadline) return std::optional<service::RecallTerms>{};
  if (notice) terms.notice = std::chrono::seconds(*notice);
  if (at_deadline && !service::fromName(*at_deadline, terms.at_deadline)) {
    return fail(ErrorCode::InvalidArgument, "\"atDeadline\" is stop or fail");
  }
  return std::optional(terms);
}

Result<service::VmRequest> vmRequest(const std::string& name, const json::object& body) {
  TRY_VOID(checkFields(body, {"size", "image", "user", "password", "sshKeys", "customData", "osDiskGiB",
                              "dataDisksGiB", "nics", "hold", "noticeSeconds", "atDeadline"}));
  service::VmRequest request;
  request.name = name;
  TRY(request.size, requiredText(body, "size"));
  TRY(request.image, requiredText(body, "image"));
  TRY(const std::optional<std::string> user, optionalText(body, "user"));
  request.user = user.value_or("");
  TRY(const std::optional<std::string> password, optionalText(body, "password"));
  request.password = password.value_or("");
  TRY(request.ssh_keys, textsOf(body, "sshKeys"));
  TRY(const std::optional<std::string> custom, optionalText(body, "customData"));
  request.custom_data_base64 = custom.value_or("");
  TRY(const std::optional<std::int64_t> os_disk, optionalNumber(body, "osDiskGiB"));
  if (os_disk) {
    TRY(request.os_disk_bytes, gibToBytes(*os_disk));
  }
  TRY(request.data_disks, disksOf(body));
  TRY(request.nics, nicsOf(body));
  TRY(const std::optional<std::string> hold, optionalText(body, "hold"));
  if (hold) {
    TRY(request.policy, policyOf(*hold));
  }
  TRY(const std::optional<service::RecallTerms> recall, recallOf(body));
  if (recall) request.recall = *recall;
  return request;
}

Result<vm::VmSize> sizeOf(const json::object& body) {
  TRY_VOID(checkFields(body, {"name", "vcpus", "memoryMiB", "gpus", "gpuModel", "maxDataDisks", "maxNics"}));
  const auto number = [&body](std::string_view key, std::int64_t fallback) -> Result<std::int64_t> {
    TRY(const std::optional<std::int64_t> value, optionalNumber(body, key));
    const std::int64_t chosen = value.value_or(fallback);
    if (chosen >= 0 && chosen <= vm::kMaxSizeMemoryMib) return chosen;
    return fail(ErrorCode::InvalidArgument, "\"" + std::string(key) + "\" is out of range");
  };
  vm::VmSize size;
  TRY(size.name, requiredText(body, "name"));
  TRY(const std::int64_t vcpus, number("vcpus", 0));
  TRY(const std::int64_t memory, number("memoryMiB", 0));
  TRY(const std::int64_t gpus, number("gpus", 0));
  TRY(const std::int64_t disks, number("maxDataDisks", 8));
  TRY(const std::int64_t nics, number("maxNics", 4));
  TRY(const std::optional<std::string> model, optionalText(body, "gpuModel"));
  size.vcpus = static_cast<int>(vcpus);
  size.memory = MiB{memory};
  size.gpus = static_cast<int>(gpus);
  size.max_data_disks = static_cast<int>(disks);
  size.max_nics = static_cast<int>(nics);
  size.gpu_model = model.value_or("");
  return size;
}

Result<service::ImageRequest> imageRequest(const std::string& name, const json::object& body) {
  TRY_VOID(checkFields(body, {"file", "os", "generation", "osState", "sha256"}));
  service::ImageRequest request;
  request.info.name = name;
  TRY(request.file, requiredText(body, "file"));
  TRY(const std::optional<std::string> os, optionalText(body, "os"));
  TRY(const std::optional<std::string> generation, optionalText(body, "generation"));
  TRY(const std::optional<std::string> state, optionalText(body, "osState"));
  TRY(const std::optional<std::string> sum, optionalText(body, "sha256"));
  const std::string os_text = toLower(os.value_or("Linux"));
  const std::string generation_text = toLower(generation.value_or("V1"));
  const std::string state_text = toLower(state.value_or("Generalized"));
  if ((os_text != "linux" && os_text != "windows") || (generation_text != "v1" && generation_text != "v2") ||
      (state_text != "generalized" && state_text != "specialized")) {
    return fail(
        ErrorCode::InvalidArgument,
        "\"os\" is Linux or Windows, \"generation\" V1 or V2, \"osState\" Generalized or Specialized");
  }
  request.info.os = os_text == "windows" ? vm::GuestOs::Windows : vm::GuestOs::Linux;
  request.info.generation = generation_text == "v2" ? vm::Generation::V2 : vm::Generation::V1;
  request.info.generalized = state_text == "generalized";
  request.info.sha256 = sum.value_or("");
  return request;
}

class VmHandlers {
 public:
  explicit VmHandlers(service::VmService& vms) : vms_(vms) {}

  Result<ServerResponse> list(const ServerRequest& /*request*/) const {
    return answer(vmArray(*vms_.desk().book()));
  }

  Result<ServerResponse> show(const ServerRequest& request) const {
    const auto book = vms_.desk().book();
    const auto found = book->vms.find(request.params.at("name"));
    if (found == book->vms.end()) {
      return fail(Error{ErrorCode::NotFound, "there is no VM " + request.params.at("name"), "UnknownVm", {}});
    }
    json::object body = vmJson(book->state, *found->second);
    body["consoleSocket"] = vms_.consoleSocket(found->first).string();
    return answer(body);
  }

  Result<ServerResponse> create(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const service::VmRequest wanted, vmRequest(request.params.at("name"), body));
    return done(request, [&](DryRun dry) { return vms_.create(wanted, dry); });
  }

  Result<ServerResponse> remove(const ServerRequest& request) const {
    return done(request, [&](DryRun dry) { return vms_.remove(request.params.at("name"), dry); });
  }
  Result<ServerResponse> start(const ServerRequest& request) const {
    return done(request, [&](DryRun dry) { return vms_.start(request.params.at("name"), dry); });
  }
  Result<ServerResponse> restart(const ServerRequest& request) const {
    return done(request, [&](DryRun dry) { return vms_.restart(request.params.at("name"), dry); });
  }
  Result<ServerResponse> stop(const ServerRequest& request) const {
    TRY(const Force force, forceOf(request));
    return done(request, [&](DryRun dry) { return vms_.stop(request.params.at("name"), force, dry); });
  }
  Result<ServerResponse> deallocate(const ServerRequest& request) const {
    TRY(const Force force, forceOf(request));
    return done(request, [&](DryRun dry) { return vms_.deallocate(request.params.at("name"), force, dry); });
  }
  Result<ServerResponse> resize(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const std::string size, requiredText(body, "size"));
    return done(request, [&](DryRun dry) { return vms_.resize(request.params.at("name"), size, dry); });
  }
  Result<ServerResponse> hold(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY_VOID(checkFields(body, {"policy", "noticeSeconds", "atDeadline"}));
    TRY(const std::string text, requiredText(body, "policy"));
    TRY(const vm::GpuPolicy policy, policyOf(text));
    TRY(const std::optional<service::RecallTerms> recall, recallOf(body));
    return done(request,
                [&](DryRun dry) { return vms_.setPolicy(request.params.at("name"), policy, recall, dry); });
  }
  Result<ServerResponse> disk(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const std::optional<std::int64_t> gib, optionalNumber(body, "sizeGiB"));
    TRY(const std::uint64_t bytes, gibToBytes(gib.value_or(0)));
    const auto lun = parseWholeNumber(request.params.at("lun"));
    if (!lun || *lun > vm::kMaxLun) return fail(ErrorCode::InvalidArgument, "a LUN is 0 to 63");
    const std::string& name = request.params.at("name");
    return done(request, [&](DryRun dry) { return vms_.putDisk(name, static_cast<int>(*lun), bytes, dry); });
  }

  Result<ServerResponse> listSizes(const ServerRequest& request) const {
    TRY(const bool all, request.queryFlag("all"));
    const auto book = vms_.desk().book();
    const std::vector<vm::VmSize> sizes = all ? vms_.sizes(*book).all() : vms_.offered();
    json::array rows;
    for (const vm::VmSize& size : sizes) rows.push_back(sizeJson(size, *book));
    return answer(rows);
  }
  Result<ServerResponse> addSize(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const vm::VmSize size, sizeOf(body));
    TRY_VOID(vms_.addSize(size));
    return answer(sizeJson(*vms_.sizes(*vms_.desk().book()).find(size.name), *vms_.desk().book()), 201);
  }
  Result<ServerResponse> removeSize(const ServerRequest& request) const {
    TRY_VOID(vms_.removeSize(request.params.at("name")));
    return answer({{"removed", request.params.at("name")}});
  }
  Result<ServerResponse> customSizes(const ServerRequest& request) const {
    TRY(const bool real_json, request.queryFlag("json"));
    const auto style = real_json ? vm::CustomSizesStyle::Json : vm::CustomSizesStyle::Appliance;
    return answer({{"text", vm::printCustomSizes(vms_.customSizes(), style)}});
  }
  Result<ServerResponse> setCustomSizes(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const std::string text, requiredText(body, "text"));
    TRY(const std::vector<vm::CustomSize> sizes, vm::parseCustomSizes(text));
    TRY_VOID(vms_.setCustomSizes(sizes));
    return customSizes(request);
  }

  Result<ServerResponse> listImages(const ServerRequest& /*request*/) const {
    const auto book = vms_.desk().book();
    json::array rows;
    for (const auto& [name, image] : book->images) rows.push_back(imageJson(*image));
    return answer(rows);
  }
  Result<ServerResponse> addImage(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const service::ImageRequest wanted, imageRequest(request.params.at("name"), body));
    return done(request, [&](DryRun dry) { return vms_.addImage(wanted, dry); });
  }
  Result<ServerResponse> removeImage(const ServerRequest& request) const {
    return done(request, [&](DryRun dry) { return vms_.removeImage(request.params.at("name"), dry); });
  }

 private:
  template <typename Do>
  Result<ServerResponse> done(const ServerRequest& request, Do perform) const {
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(vms_.desk(), perform(dry_run), dry_run);
  }

  static Result<Force> forceOf(const ServerRequest& request) {
    TRY(const json::object body, bodyObject(request));
    TRY(const bool force, flagOf(body, "force"));
    return force ? Force::Yes : Force::No;
  }

  service::VmService& vms_;
};

}  // namespace

std::vector<Route> vmRoutes(service::VmService& vms) {
  const auto handlers = std::make_shared<const VmHandlers>(vms);
  using Method = Result<ServerResponse> (VmHandlers::*)(const ServerRequest&) const;
  const auto on = [&](Method method) -> http::Handler {
    return [handlers, method](const ServerRequest& request) { return ((*handlers).*method)(request); };
  };
  const http::QueryParameter dry{"dryRun", "true: say what would happen and do nothing"};
  // Most ask libvirt whether it is there, which may take its time: the long pool.
  const auto change = [&](const char* method, const char* pattern, Method handler, const char* summary,
                          std::size_t most = kMaxSmallBody, Role role = Role::Operator) {
    return Route{method, pattern, role, on(handler), summary, {dry}, Duration::Long, 202, most};
  };
  const auto look = [&](const char* pattern, Method handler, const char* summary) {
    return Route{"GET", pattern, Role::Reader, on(handler), summary};
  };
  using H = VmHandlers;
  Route sizes = look("/api/v1/sizes", &H::listSizes, "The VM sizes this device offers (A6)");
  sizes.query = {{"all", "true: those of other GPU models too"}};
  Route custom = look("/api/v1/customsizes", &H::customSizes, "Custom sizes as the appliance prints them");
  custom.query = {{"json", "true: with double quotes"}};
  Route set_custom = custom;
  set_custom.method = "PUT";
  set_custom.role = Role::Operator;
  set_custom.handler = on(&H::setCustomSizes);
  set_custom.summary = "Changes custom sizes: {\"text\": ...} as Set-HcsVMCustomSizes takes it";
  set_custom.max_body_bytes = kMaxVmBody;
  Route add_size{"POST", "/api/v1/sizes", Role::Operator, on(&H::addSize), "Adds a size"};
  add_size.success_status = 201;
  add_size.max_body_bytes = kMaxSmallBody;
  return {
      look("/api/v1/vms", &H::list, "The virtual machines"),
      look("/api/v1/vms/{name}", &H::show, "One virtual machine"),
      change("PUT", "/api/v1/vms/{name}", &H::create, "Makes a virtual machine and starts it", kMaxVmBody),
      change("DELETE", "/api/v1/vms/{name}", &H::remove, "Ends it and forgets it, disks included"),
      change("POST", "/api/v1/vms/{name}/start", &H::start,
             "Starts it; a deallocated one needs its GPUs (A7)"),
      change("POST", "/api/v1/vms/{name}/stop", &H::stop, "Powers it off; it keeps its GPUs (A7)"),
      change("POST", "/api/v1/vms/{name}/restart", &H::restart, "Restarts the guest"),
      change("POST", "/api/v1/vms/{name}/deallocate", &H::deallocate,
             "Powers it off; its GPUs are held, lent or released (B7)"),
      change("POST", "/api/v1/vms/{name}/resize", &H::resize, "Gives a VM that is off another size"),
      change("PUT", "/api/v1/vms/{name}/hold", &H::hold, "What deallocation does with its GPUs (B7)"),
      change("PUT", "/api/v1/vms/{name}/disks/{lun}", &H::disk,
             "Adds or grows a data disk of a VM that is off"),
      std::move(sizes),
      std::move(add_size),
      Route{"DELETE", "/api/v1/sizes/{name}", Role::Operator, on(&H::removeSize), "Removes an added size"},
      std::move(custom),
      std::move(set_custom),
      look("/api/v1/images", &H::listImages, "The disk images"),
      change("PUT", "/api/v1/images/{name}", &H::addImage,
             "Imports an image from a file of the device: VHD, VHDX, qcow2 or raw", kMaxSmallBody,
             Role::Owner),
      change("DELETE", "/api/v1/images/{name}", &H::removeImage, "Removes an image no VM uses"),
  };
}

}  // namespace berth::api
