#include "cli/requests.h"

#include <optional>

#include <boost/json.hpp>

#include "base/utf8.h"
#include "cli/vm_requests.h"

namespace berth::cli {
namespace {

namespace json = boost::json;
using http::percentEncode;
using http::Request;

constexpr std::string_view kRoot = "/api/v1/";
constexpr std::int64_t kMostEvents = 1000;

Request get(const std::string& path) { return {"GET", std::string(kRoot) + path, {}, {}}; }

Request change(const Arguments& args, const std::string& method, const std::string& path,
               const json::object& body = {}) {
  Request request{method, std::string(kRoot) + path, {}, {}};
  if (!body.empty()) {
    request.headers = {{"Content-Type", "application/json"}};
    request.body = json::serialize(body);
  }
  if (args.dry_run) request.target += "?dryRun=true";
  return request;
}

Request manifest(const Arguments& args, const std::string& path, const InputFile& file) {
  Request request = change(args, "POST", path);
  request.target += (args.dry_run ? "&file=" : "?file=") + percentEncode(asUtf8(file.name));
  request.headers = {{"Content-Type", "text/plain; charset=utf-8"}};
  request.body = file.text;
  return request;
}

json::value gpuOrNull(const Arguments& args) {
  return args.gpu ? json::value(*args.gpu) : json::value(nullptr);
}

Request logs(const Arguments& args) {
  Request request = get("workloads/" + percentEncode(args.name) + "/logs");
  std::string query;
  if (!args.container.empty()) query += "&container=" + percentEncode(args.container);
  if (args.follow) query += "&follow=true";
  if (args.tail) query += "&tail=" + std::to_string(*args.tail);
  if (!query.empty()) request.target += "?" + query.substr(1);
  return request;
}

Request fault(const Arguments& args) {
  json::object body{{"gpu", gpuOrNull(args)}, {"fault", args.fault}};
  if (args.fault_value) body["value"] = *args.fault_value;
  return change(args, "POST", "sim/faults", body);
}

Request mps(const Arguments& args, const std::string& path) {
  return change(args, "POST", path, {{"gpu", gpuOrNull(args)}, {"restart", args.restart}});
}

Request setLimits(const Arguments& args) {
  json::object body;
  if (!args.container.empty()) body["container"] = args.container;
  if (args.memory_mib) body["memoryMiB"] = *args.memory_mib;
  if (args.compute_percent) body["computePercent"] = *args.compute_percent;
  body["restart"] = args.restart;
  return change(args, "PATCH", "workloads/" + percentEncode(args.name) + "/limits", body);
}

/// The secret is the first line of its file; without one the daemon makes it.
Request secretRequest(const Arguments& args, const std::string& path, const InputFile& file) {
  json::object body;
  if (args.verb == Verb::TokenCreate) body = {{"name", args.name}, {"role", args.role}};
  if (args.lifetime_seconds) body["lifetimeSeconds"] = *args.lifetime_seconds;
  if (!args.files.empty()) body["secret"] = file.text.substr(0, file.text.find_first_of("\r\n"));
  return {"POST", std::string(kRoot) + path, {{"Content-Type", "application/json"}}, json::serialize(body)};
}

Request look(const Arguments& args) {
  switch (args.verb) {
    case Verb::GpuList:
      return get("gpus");
    case Verb::GpuShow:
      return get("gpus/" + percentEncode(args.gpu.value_or("")));
    case Verb::WorkloadList:
      return get("workloads");
    case Verb::WorkloadShow:
      return get("workloads/" + percentEncode(args.name));
    case Verb::WorkloadLogs:
      return logs(args);
    case Verb::KubernetesStatus:
      return get("kubernetes");
    case Verb::MpsStatus:
      return get("mps");
    case Verb::Events:
      return get("events?since=" + std::to_string(args.since) + "&limit=" + std::to_string(kMostEvents));
    case Verb::OperationList:
      return get("operations");
    case Verb::OperationShow:
    case Verb::OperationWait:
      return operationRequest(args.name, 0);
    case Verb::SimStatus:
      return get("sim");
    case Verb::TokenList:
      return get("tokens");
    default:
      return get("status");
  }
}

}  // namespace

bool isChange(Verb verb) {
  switch (verb) {
    case Verb::GpuMode:
    case Verb::Apply:
    case Verb::Delete:
    case Verb::WorkloadStop:
    case Verb::WorkloadStart:
    case Verb::WorkloadSet:
    case Verb::WorkloadDelete:
    case Verb::Reserve:
    case Verb::Unreserve:
    case Verb::KubernetesEnable:
    case Verb::KubernetesDisable:
    case Verb::KubernetesRelease:
    case Verb::MpsStart:
    case Verb::MpsStop:
    case Verb::VmCreate:
    case Verb::VmStart:
    case Verb::VmStop:
    case Verb::VmRestart:
    case Verb::VmDeallocate:
    case Verb::VmDelete:
    case Verb::VmResize:
    case Verb::VmHold:
    case Verb::VmDisk:
    case Verb::ImageAdd:
    case Verb::ImageRemove:
      return true;
    default:
      return false;
  }
}

Request requestFor(const Arguments& args, const InputFile& file) {
  if (const std::optional<Request> request = vmRequestFor(args)) return *request;
  switch (args.verb) {
    case Verb::GpuMode:
      return change(args, "PUT", "gpus/" + percentEncode(args.gpu.value_or("")) + "/mode",
                    {{"mode", args.mode}, {"restart", args.restart}});
    case Verb::Apply:
      return manifest(args, "apply", file);
    case Verb::Delete:
      return manifest(args, "delete", file);
    case Verb::WorkloadStop:
      return change(args, "POST", "workloads/" + percentEncode(args.name) + "/stop");
    case Verb::WorkloadStart:
      return change(args, "POST", "workloads/" + percentEncode(args.name) + "/start");
    case Verb::WorkloadSet:
      return setLimits(args);
    case Verb::WorkloadDelete:
      return change(args, "DELETE", "workloads/" + percentEncode(args.name));
    case Verb::Reserve:
      return change(args, "PUT", "reservations/" + percentEncode(args.name), {{"gpus", args.gpus}});
    case Verb::Unreserve:
      return change(args, "DELETE", "reservations/" + percentEncode(args.name));
    case Verb::KubernetesEnable:
      return change(args, "POST", "kubernetes/enable");
    case Verb::KubernetesDisable:
      return change(args, "POST", "kubernetes/disable");
    case Verb::KubernetesRelease:
      return change(args, "POST", "kubernetes/release", {{"gpu", gpuOrNull(args)}});
    case Verb::MpsStart:
    case Verb::HcsStartMps:
      return mps(args, "mps/start");
    case Verb::MpsStop:
    case Verb::HcsStopMps:
      return mps(args, "mps/stop");
    case Verb::SimFault:
      return fault(args);
    case Verb::TokenCreate:
      return secretRequest(args, "tokens", file);
    case Verb::TokenReset:
      return secretRequest(args, "tokens/" + percentEncode(args.name) + "/reset", file);
    case Verb::TokenRevoke:
      return {"DELETE", std::string(kRoot) + "tokens/" + percentEncode(args.name), {}, {}};
    default:
      return look(args);
  }
}

Request eventStreamRequest(std::int64_t since) {
  Request request = get("events/stream?since=" + std::to_string(since));
  request.headers = {{"Accept", "text/event-stream"}, {"Last-Event-ID", std::to_string(since)}};
  return request;
}

Request operationRequest(std::string_view id, std::int64_t wait_seconds) {
  Request request = get("operations/" + percentEncode(id));
  if (wait_seconds > 0) request.target += "?wait=" + std::to_string(wait_seconds);
  return request;
}

}  // namespace berth::cli
