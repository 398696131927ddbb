#include "cli/vm_requests.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/text.h"
#include "cli/input_files.h"
#include "http/codec.h"

namespace berth::cli {
namespace {

namespace json = boost::json;
using http::Request;

constexpr std::string_view kRoot = "/api/v1/";

Request request(const Arguments& args, const std::string& method, const std::string& path,
                const json::object& body = {}) {
  Request made{method, std::string(kRoot) + path, {}, {}};
  if (!body.empty()) {
    made.headers = {{"Content-Type", "application/json"}};
    made.body = json::serialize(body);
  }
  if (args.dry_run) made.target += "?dryRun=true";
  return made;
}

std::string vmPath(const Arguments& args, const std::string& rest = "") {
  return "vms/" + http::percentEncode(args.name) + rest;
}

void put(json::object& body, const char* key, const std::string& text) {
  if (!text.empty()) body[key] = text;
}

/// "bridge:br0,10.0.0.5/24" as one NIC's object.
json::object nicOf(const std::string& text) {
  const std::vector<std::string> parts = split(text, ',');
  json::object nic;
  const std::string& where = parts.front();
  const std::size_t colon = where.find(':');
  if (colon == std::string::npos) {
    nic["network"] = where;
  } else {
    nic[where.substr(0, colon)] = where.substr(colon + 1);
  }
  if (parts.size() > 1) nic["address"] = parts[1];
  return nic;
}

void putNics(json::object& body, const std::vector<std::string>& networks) {
  if (networks.empty()) return;
  json::array nics;
  for (const std::string& text : networks) {
    if (text != "none") nics.push_back(nicOf(text));
  }
  body["nics"] = std::move(nics);
}

void putRecall(json::object& body, const VmArguments& vm) {
  if (vm.notice_seconds) body["noticeSeconds"] = *vm.notice_seconds;
  put(body, "atDeadline", vm.at_deadline);
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](std::size_t at) {
      return at < bytes.size() ? static_cast<unsigned>(static_cast<unsigned char>(bytes[at])) : 0U;
    };
    const unsigned group = byte(i) << 16U | byte(i + 1) << 8U | byte(i + 2);
    for (unsigned digit = 0; digit < 4; ++digit) {
      const bool padding = i + digit > bytes.size();
      text += padding ? '=' : kLetters[group >> (18U - 6U * digit) & 63U];
    }
  }
  return text;
}

json::object createBody(const VmArguments& vm) {
  json::object body{{"size", vm.size}, {"image", vm.image}};
  put(body, "user", vm.user);
  put(body, "password", vm.password);
  put(body, "customData", base64(vm.custom_data));
  put(body, "hold", vm.hold);
  if (!vm.ssh_keys.empty()) body["sshKeys"] = json::value_from(vm.ssh_keys);
  if (vm.os_disk_gib) body["osDiskGiB"] = *vm.os_disk_gib;
  if (!vm.data_disks_gib.empty()) body["dataDisksGiB"] = json::value_from(vm.data_disks_gib);
  putNics(body, vm.networks);
  putRecall(body, vm);
  return body;
}

json::object imageBody(const VmArguments& vm) {
  json::object body{{"file", vm.file}};
  put(body, "os", vm.os);
  put(body, "generation", vm.generation);
  put(body, "sha256", vm.sha256);
  if (vm.specialized) body["osState"] = "Specialized";
  return body;
}

json::object sizeBody(const Arguments& args) {
  json::object body{
      {"name", args.name}, {"vcpus", args.vm.vcpus}, {"memoryMiB", args.vm.memory_mib}, {"gpus", args.gpus}};
  put(body, "gpuModel", args.vm.gpu_model);
  return body;
}

Request customSizes(const Arguments& args) {
  const bool set = args.verb == Verb::HcsSetCustomSizes;
  Request made = request(args, set ? "PUT" : "GET", "customsizes",
                         set ? json::object{{"text", args.vm.sizes_text}} : json::object{});
  if (args.vm.real_json) made.target += "?json=true";
  return made;
}

std::string extensionPath(const Arguments& args, const std::string& rest = "") {
  return vmPath(args, "/extensions/" + http::percentEncode(args.vm.extension) + rest);
}

json::object extensionBody(const VmArguments& vm) {
  json::object body;
  put(body, "type", vm.extension_type);
  put(body, "version", vm.extension_version);
  json::error_code error;
  if (json::value settings = json::parse(vm.settings, error); !error) body["settings"] = std::move(settings);
  return body;
}

Request onVm(const Arguments& args) {
  switch (args.verb) {
    case Verb::VmCreate:
      return request(args, "PUT", vmPath(args), createBody(args.vm));
    case Verb::VmStart:
      return request(args, "POST", vmPath(args, "/start"));
    case Verb::VmStop:
      return request(args, "POST", vmPath(args, "/stop"), {{"force", args.vm.force}});
    case Verb::VmRestart:
      return request(args, "POST", vmPath(args, "/restart"));
    case Verb::VmDeallocate:
      return request(args, "POST", vmPath(args, "/deallocate"), {{"force", args.vm.force}});
    case Verb::VmDelete:
      return request(args, "DELETE", vmPath(args));
    case Verb::VmResize:
      return request(args, "POST", vmPath(args, "/resize"), {{"size", args.vm.size}});
    case Verb::VmHold: {
      json::object body{{"policy", args.vm.hold}};
      putRecall(body, args.vm);
      return request(args, "PUT", vmPath(args, "/hold"), body);
    }
    case Verb::VmDisk:
      return request(args, "PUT", vmPath(args, "/disks/" + std::to_string(args.vm.lun)),
                     {{"sizeGiB", args.vm.gib}});
    case Verb::VmList:
      return request(args, "GET", "vms");
    default:
      return request(args, "GET", vmPath(args));
  }
}

Result<std::string> readOne(const std::string& path, std::istream& in) {
  if (path.empty()) return std::string();
  TRY(const std::vector<InputFile> files, readInputFiles({path}, in));
  return files.front().text;
}

/// JSON itself, or the file that holds it.
Result<std::string> readSettings(const std::string& given, std::istream& in) {
  if (given.empty()) return std::string();
  std::string text = given;
  if (!trim(given).starts_with('{')) {
    TRY(text, readOne(given, in));
  }
  json::error_code error;
  if (const json::value settings = json::parse(text, error); !error && settings.is_object()) return text;
  return fail(ErrorCode::InvalidArgument, "--settings: what it says is no JSON object");
}

}  // namespace

std::optional<Request> vmRequestFor(const Arguments& args) {
  switch (args.verb) {
    case Verb::VmCreate:
    case Verb::VmList:
    case Verb::VmShow:
    case Verb::VmStart:
    case Verb::VmStop:
    case Verb::VmRestart:
    case Verb::VmDeallocate:
    case Verb::VmDelete:
    case Verb::VmResize:
    case Verb::VmHold:
    case Verb::VmDisk:
    case Verb::VmConsole:
      return onVm(args);
    case Verb::VmExtensionAdd:
      return request(args, "PUT", extensionPath(args), extensionBody(args.vm));
    case Verb::VmExtensionList:
      return request(args, "GET", vmPath(args, "/extensions"));
    case Verb::VmExtensionRetry:
      return request(args, "POST", extensionPath(args, "/retry"));
    case Verb::VmExtensionRemove:
      return request(args, "DELETE", extensionPath(args));
    case Verb::ImageAdd:
      return request(args, "PUT", "images/" + http::percentEncode(args.name), imageBody(args.vm));
    case Verb::ImageList:
      return request(args, "GET", "images");
    case Verb::ImageRemove:
      return request(args, "DELETE", "images/" + http::percentEncode(args.name));
    case Verb::SizeList:
      return request(args, "GET", args.vm.all ? "sizes?all=true" : "sizes");
    case Verb::SizeAdd:
      return request(args, "POST", "sizes", sizeBody(args));
    case Verb::SizeRemove:
      return request(args, "DELETE", "sizes/" + http::percentEncode(args.name));
    case Verb::HcsGetCustomSizes:
    case Verb::HcsSetCustomSizes:
      return customSizes(args);
    default:
      return std::nullopt;
  }
}

Result<void> readVmFiles(VmArguments& vm, std::istream& in) {
  TRY(const std::string password, readOne(vm.password_file, in));
  vm.password = std::string(trim(password));
  TRY(vm.custom_data, readOne(vm.custom_data_file, in));
  TRY(vm.settings, readSettings(vm.settings, in));
  for (const std::string& path : vm.ssh_key_files) {
    TRY(const std::string keys, readOne(path, in));
    for (const std::string& line : split(keys, '\n')) {
      if (!trim(line).empty()) vm.ssh_keys.emplace_back(trim(line));
    }
  }
  return {};
}

}  // namespace berth::cli
