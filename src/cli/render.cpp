#include "cli/render.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/text.h"
#include "cli/json_fields.h"
#include "cli/json_text.h"
#include "cli/render_usage.h"
#include "cli/token_text.h"
#include "cli/vm_render.h"

namespace berth::cli {
namespace {

namespace json = boost::json;
using Column = Table::Column;

std::string yesNo(bool yes) { return yes ? "yes" : "no"; }

std::string numbers(const json::array& array) {
  std::vector<std::string> parts;
  for (const json::value& value : array) parts.push_back(text(value, ""));
  return join(parts, ", ");
}

std::string mib(const json::value& from, std::string_view path) {
  const auto value = number(from, path);
  return value ? std::to_string(*value) + " MiB" : "";
}

// "label  value" lines; empty values are left out.
class Sheet {
 public:
  Sheet& add(std::string_view label, const std::string& value) {
    if (value.empty()) return *this;
    text_.append(label).append(":");
    text_.append(label.size() < kLabel ? kLabel - label.size() : 1, ' ').append(value).append("\n");
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  static constexpr std::size_t kLabel = 12;
  std::string text_;
};

std::string gpuList(const json::value& gpus, const TextStyle& style) {
  Table table({{"GPU", Column::Number},
               {"NAME"},
               {"OWNER", Column::Wide},
               {"MODE"},
               {"HEALTH"},
               {"MEMORY", Column::Number},
               {"PCI"},
               {"HOLDERS", Column::Wide}});
  for (const json::value& gpu : list(gpus, "")) {
    std::vector<std::string> holders;
    for (const json::value& berth : list(gpu, "berths")) holders.push_back(text(berth, "holder.name"));
    table.add({text(gpu, "index"), text(gpu, "name"), ownerText(at(gpu, "owner")), text(gpu, "mode"),
               text(gpu, "health"), mib(gpu, "memoryMiB"), text(gpu, "pciAddress"), join(holders, ", ")});
  }
  return table.empty() ? "no GPUs\n" : table.text(style);
}

std::string sampleText(const json::value& sample) {
  if (!sample.is_object()) return "";
  std::vector<std::string> parts;
  if (const auto use = number(sample, "utilizationPercent"))
    parts.push_back(std::to_string(*use) + " % used");
  if (const auto used = number(sample, "memoryUsedMiB")) parts.push_back(std::to_string(*used) + " MiB used");
  if (const auto heat = number(sample, "temperatureC")) parts.push_back(std::to_string(*heat) + " C");
  if (const auto power = number(sample, "powerMilliwatts")) {
    parts.push_back(std::to_string(*power / 1000) + " W");
  }
  return join(parts, ", ");
}

std::string mpsText(const json::value& mps) {
  std::string line = text(mps, "state");
  const auto generation = number(mps, "generation");
  if (generation && *generation > 0) line += ", generation " + std::to_string(*generation);
  const std::string message = text(mps, "message");
  return message.empty() ? line : line + ": " + message;
}

std::string gpuPage(const json::value& gpu, const TextStyle& style) {
  const std::string reason = text(gpu, "healthReason");
  const std::string health = toned(text(gpu, "health"), toneOf(text(gpu, "health")), style);
  Sheet sheet;
  sheet.add("GPU", text(gpu, "index") + (flag(gpu, "simulated") ? " (simulated)" : ""))
      .add("name", text(gpu, "name"))
      .add("uuid", text(gpu, "uuid"))
      .add("pci", text(gpu, "pciAddress"))
      .add("owner", ownerText(at(gpu, "owner")))
      .add("mode", text(gpu, "mode"))
      .add("mps", mpsText(at(gpu, "mps")))
      .add("health", reason.empty() ? health : health + ": " + reason)
      .add("memory", mib(gpu, "memoryMiB"))
      .add("now", sampleText(at(gpu, "sample")));
  std::string page = sheet.text();
  if (!list(gpu, "berths").empty()) page += "berths:\n";
  for (const json::value& berth : list(gpu, "berths")) page += "  " + berthText(berth) + "\n";
  Table table({{"PID", Column::Number},
               {"TYPE"},
               {"MEMORY", Column::Number},
               {"CONTAINER", Column::Wide},
               {"NAME", Column::Wide}});
  for (const json::value& process : list(gpu, "processes")) {
    table.add({text(process, "pid"), text(process, "type"), mib(process, "memoryMiB"),
               text(process, "container"), text(process, "name")});
  }
  if (!table.empty()) page += "\n" + table.text(style);
  const std::string usage = renderGpuUsage(at(gpu, "usage"), style);
  return usage.empty() ? page : page + "\n" + usage;
}

std::string ready(const json::value& workload) {
  std::size_t running = 0;
  for (const json::value& c : list(workload, "containers")) running += text(c, "state") == "running" ? 1 : 0;
  return std::to_string(running) + "/" + std::to_string(list(workload, "containers").size());
}

std::string gpusOf(const json::value& workload) {
  std::vector<std::string> gpus;
  for (const json::value& c : list(workload, "containers")) {
    const std::string gpu = text(c, "gpu");
    if (!gpu.empty() && std::find(gpus.begin(), gpus.end(), gpu) == gpus.end()) gpus.push_back(gpu);
  }
  return join(gpus, ", ");
}

std::string workloadList(const json::value& workloads, const TextStyle& style) {
  Table table({{"WORKLOAD", Column::Wide},
               {"KIND"},
               {"STATE"},
               {"RUNNING", Column::Number},
               {"GPU"},
               {"SOURCE", Column::Wide},
               {"MESSAGE", Column::Wide}});
  for (const json::value& workload : list(workloads, "")) {
    table.add({text(workload, "name"), text(workload, "kind"), text(workload, "state"), ready(workload),
               gpusOf(workload), text(workload, "source"), text(workload, "message")});
  }
  return table.empty() ? "no workloads\n" : table.text(style);
}

std::string workloadPage(const json::value& workload, const TextStyle& style) {
  Sheet sheet;
  sheet.add("name", text(workload, "name"))
      .add("kind", text(workload, "kind"))
      .add("namespace", text(workload, "namespace"))
      .add("state", toned(text(workload, "state"), toneOf(text(workload, "state")), style))
      .add("message", text(workload, "message"))
      .add("source", text(workload, "source"))
      .add("created", timeText(text(workload, "created")));
  Table table({{"CONTAINER", Column::Wide},
               {"STATE"},
               {"EXIT", Column::Number},
               {"RESTARTS", Column::Number},
               {"GPU"},
               {"MODE"},
               {"STARTED"},
               {"MESSAGE", Column::Wide}});
  for (const json::value& c : list(workload, "containers")) {
    table.add({text(c, "name"), text(c, "state"), text(c, "exitCode"), text(c, "restarts"), text(c, "gpu"),
               text(c, "mode"), timeText(text(c, "started")), text(c, "message")});
  }
  std::string page = sheet.text();
  if (!table.empty()) page += "\n" + table.text(style);
  const std::string usage = renderWorkloadUsage(workload, style);
  return usage.empty() ? page : page + "\n" + usage;
}

std::string reservationTable(const json::value& reservations, const TextStyle& style) {
  Table table({{"RESERVATION", Column::Wide}, {"GPUS", Column::Number}, {"HOLDS GPU"}, {"CREATED"}});
  for (const json::value& each : list(reservations, "")) {
    table.add({text(each, "name"), text(each, "gpus"), numbers(list(each, "gpuIndices")),
               timeText(text(each, "created"))});
  }
  return table.empty() ? "no reservations\n" : table.text(style);
}

std::string kubernetesPage(const json::value& kubernetes) {
  Sheet sheet;
  sheet.add("enabled", yesNo(flag(kubernetes, "enabled")))
      .add("kubelet", flag(kubernetes, "kubeletAttached") ? "attached" : "none; Berth runs the containers")
      .add("owns GPU", numbers(list(kubernetes, "gpus")))
      .add("could claim", numbers(list(kubernetes, "claimable")));
  return sheet.text();
}

std::string mpsList(const json::value& rows, const TextStyle& style) {
  Table table({{"GPU", Column::Number},
               {"MODE"},
               {"MPS"},
               {"GENERATION", Column::Number},
               {"PID", Column::Number},
               {"SERVER", Column::Number},
               {"CLIENTS", Column::Number},
               {"MESSAGE", Column::Wide}});
  for (const json::value& row : list(rows, "")) {
    table.add({text(row, "gpu"), text(row, "mode"), text(row, "state"), text(row, "generation"),
               number(row, "pid").value_or(0) > 0 ? text(row, "pid") : "",
               number(row, "serverPid").value_or(0) > 0 ? text(row, "serverPid") : "", text(row, "clients"),
               text(row, "message")});
  }
  return table.empty() ? "no GPUs\n" : table.text(style);
}

std::string operationList(const json::value& operations, const TextStyle& style) {
  Table table({{"OPERATION"},
               {"KIND"},
               {"SUBJECT", Column::Wide},
               {"STATE"},
               {"%", Column::Number},
               {"CREATED"},
               {"MESSAGE", Column::Wide}});
  for (const json::value& op : list(operations, "")) {
    const std::string error = text(op, "error.message");
    table.add({text(op, "id"), text(op, "kind"), text(op, "subject"), text(op, "state"), text(op, "percent"),
               timeText(text(op, "created")), error.empty() ? text(op, "message") : error});
  }
  return table.empty() ? "no operations\n" : table.text(style);
}

std::string operationPage(const json::value& op, const TextStyle& style) {
  Sheet sheet;
  sheet.add("operation", text(op, "id"))
      .add("what", text(op, "kind") + " " + text(op, "subject"))
      .add("state", toned(text(op, "state"), toneOf(text(op, "state")), style))
      .add("percent", text(op, "percent"))
      .add("message", text(op, "message"))
      .add("created", timeText(text(op, "created")))
      .add("finished", timeText(text(op, "finished")))
      .add("error", text(op, "error.message"));
  std::string page = sheet.text();
  for (const json::value& warning : list(op, "warnings")) page += "warning: " + text(warning, "") + "\n";
  return page;
}

std::string simulationPage(const json::value& answer, const TextStyle& style) {
  const json::array& gpus = answer.is_array() ? list(answer, "") : list(answer, "gpus");
  Table table({{"GPU", Column::Number},
               {"NAME"},
               {"DRIVER"},
               {"LOST"},
               {"USE %", Column::Number},
               {"EVENTS", Column::Number},
               {"PROCESSES", Column::Number},
               {"UUID", Column::Wide}});
  for (const json::value& gpu : gpus) {
    table.add({text(gpu, "index"), text(gpu, "name"), text(gpu, "binding"), yesNo(flag(gpu, "lost")),
               text(gpu, "utilisationPercent"), text(gpu, "events"),
               std::to_string(list(gpu, "processes").size()), text(gpu, "uuid")});
  }
  return table.empty() ? "no simulated GPUs\n" : table.text(style);
}

std::string headline(const json::value& status) {
  std::vector<std::string> parts{text(status, "device.hostname"), "berth " + text(status, "device.version")};
  if (at(status, "device.driver").is_object()) {
    std::string driver = "driver " + text(status, "device.driver.driverVersion");
    if (flag(status, "device.driver.simulated")) driver += " (simulated)";
    parts.push_back(driver);
    parts.push_back("CUDA " + text(status, "device.driver.cudaVersion"));
  } else {
    parts.emplace_back("no driver");
  }
  return join(parts, "  ") + "\n";
}

std::string policyLine(const json::value& status) {
  std::string line = "arbitration " + text(status, "arbitration") + "  kubernetes ";
  line += flag(status, "kubernetes.enabled") ? "on" : "off";
  if (flag(status, "kubernetes.kubeletAttached")) line += " (kubelet attached)";
  const std::string message = text(status, "engine.message");
  const std::string version = text(status, "engine.version");
  if (flag(status, "engine.available")) return line + "  " + (version.empty() ? "engine" : version) + "\n";
  return line + "  no container engine" + (message.empty() ? "" : ": " + message) + "\n";
}

std::string memoryNow(const json::value& gpu) {
  const std::string used = text(gpu, "sample.memoryUsedMiB");
  return (used.empty() ? "" : used + "/") + mib(gpu, "memoryMiB");
}

std::string gpuOverview(const json::value& status, const TextStyle& style) {
  Table table({{"GPU", Column::Number},
               {"NAME"},
               {"OWNER", Column::Wide},
               {"MODE"},
               {"HEALTH"},
               {"USE", Column::Number},
               {"MEMORY", Column::Number}});
  for (const json::value& gpu : list(status, "gpus")) {
    const std::string use = text(gpu, "sample.utilizationPercent");
    table.add({text(gpu, "index"), text(gpu, "name"), ownerText(at(gpu, "owner")), text(gpu, "mode"),
               text(gpu, "health"), use.empty() ? "" : use + " %", memoryNow(gpu)});
    const std::string reason = text(gpu, "healthReason");
    if (!reason.empty()) table.note("     " + reason);
    for (const json::value& berth : list(gpu, "berths")) table.note("     " + berthText(berth));
  }
  return table.empty() ? "no GPUs\n" : table.text(style);
}

}  // namespace

std::string ownerText(const json::value& owner) {
  const std::string name = text(owner, "name");
  return name.empty() ? text(owner, "kind") : text(owner, "kind") + " " + name;
}

std::string berthText(const json::value& berth) {
  std::vector<std::string> parts;
  const auto share = [&](std::string_view path, const std::string& unit, std::string_view rung) {
    const auto value = number(berth, path);
    if (!value || *value <= 0) return;
    const std::string enforced = text(berth, rung);
    parts.push_back(std::to_string(*value) + unit + (enforced.empty() ? "" : " (" + enforced + ")"));
  };
  if (flag(berth, "whole")) parts.emplace_back("whole");
  share("computePercent", " % compute", "computeRung");
  share("threadPercentage", " % threads", "computeRung");
  share("memoryMiB", " MiB", "memoryRung");
  if (flag(berth, "bestEffort")) parts.emplace_back("best effort");
  if (parts.empty()) parts.emplace_back("shared, no limit");
  return text(berth, "holder.kind") + " " + text(berth, "holder.name") + ": " + join(parts, ", ");
}

std::string timeText(std::string_view timestamp) {
  constexpr std::size_t kSeconds = 19;  // "2026-01-02T03:04:05"
  std::string shown(timestamp.substr(0, kSeconds));
  if (shown.size() == kSeconds) shown[10] = ' ';
  return shown;
}

std::string renderPlan(const json::value& plan) {
  std::string lines;
  for (const json::value& change : list(plan, "changes")) lines += text(change, "") + "\n";
  return lines.empty() ? "nothing would change\n" : lines;
}

std::string renderEvent(const json::value& event) {
  return text(event, "seq") + "  " + timeText(text(event, "time")) + "  " + text(event, "kind") + "  " +
         text(event, "subject") + "  " + text(event, "message") + "\n";
}

std::string renderStatus(const json::value& status, const TextStyle& style) {
  std::string page = headline(status) + policyLine(status) + "\n" + gpuOverview(status, style);
  page += "\n" + workloadList(at(status, "workloads"), style);
  if (!list(status, "vms").empty()) page += "\n" + vmTable(at(status, "vms"), style);
  if (!list(status, "reservations").empty()) {
    page += "\n" + reservationTable(at(status, "reservations"), style);
  }
  return page;
}

std::string renderAnswer(Verb verb, const json::value& answer, const TextStyle& style) {
  switch (verb) {
    case Verb::Status:
      return renderStatus(answer, style);
    case Verb::GpuList:
      return gpuList(answer, style);
    case Verb::GpuShow:
      return gpuPage(answer, style);
    case Verb::WorkloadList:
      return workloadList(answer, style);
    case Verb::WorkloadShow:
      return workloadPage(answer, style);
    case Verb::KubernetesStatus:
      return kubernetesPage(answer);
    case Verb::MpsStatus:
      return mpsList(answer, style);
    case Verb::OperationList:
      return operationList(answer, style);
    case Verb::OperationShow:
    case Verb::OperationWait:
      return operationPage(answer, style);
    case Verb::TokenList:
      return tokenList(answer, style);
    case Verb::TokenCreate:
    case Verb::TokenReset:
      return newSecretPage(answer);
    case Verb::TokenRevoke:
      return text(answer, "name") + ": revoked\n";
    case Verb::SimStatus:
      return simulationPage(answer, style);
    case Verb::VmList:
      return vmTable(answer, style);
    case Verb::VmExtensionList:
      return extensionTable(answer, style);
    case Verb::VmShow:
      return vmPage(answer, style);
    case Verb::ImageList:
      return imageTable(answer, style);
    case Verb::SizeList:
      return sizeTable(answer, style);
    default:
      return prettyJson(answer);
  }
}

}  // namespace berth::cli
