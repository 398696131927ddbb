#include "cli/vm_render.h"

#include <vector>

#include <boost/json.hpp>

#include "base/text.h"
#include "cli/json_fields.h"
#include "cli/render.h"

namespace berth::cli {
namespace {

namespace json = boost::json;
using Column = Table::Column;

/// "running" of "PowerState/running".
std::string stateWord(const json::value& from, std::string_view path) {
  const std::string code = text(from, path);
  return code.substr(code.find('/') + 1);
}

/// "0, 1", or how they are lent.
std::string gpusText(const json::value& vm) {
  std::vector<std::string> parts;
  for (const json::value& gpu : list(vm, "gpus")) parts.push_back(text(gpu, "index"));
  for (const json::value& lent : list(vm, "lent")) {
    parts.push_back(text(lent, "") + (flag(vm, "calledBack") ? " (called back)" : " (lent)"));
  }
  return join(parts, ", ");
}

std::string addressesText(const json::value& vm) {
  std::vector<std::string> parts;
  for (const json::value& nic : list(vm, "nics")) {
    for (const json::value& address : list(nic, "addresses")) parts.push_back(text(address, ""));
  }
  return join(parts, ", ");
}

std::string gib(const json::value& from, std::string_view path) {
  constexpr std::int64_t kTenths = std::int64_t{1} << 30;
  const auto bytes = number(from, path);
  if (!bytes || *bytes == 0) return "";
  const std::int64_t tenths = (*bytes * 10 + kTenths / 2) / kTenths;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

std::string mib(const json::value& from, std::string_view path) {
  const auto value = number(from, path);
  return value ? std::to_string(*value) + " MiB" : "";
}

void line(std::string& page, std::string_view label, const std::string& value) {
  constexpr std::size_t kLabel = 14;
  if (value.empty()) return;
  page.append(label).append(":").append(kLabel - label.size(), ' ').append(value).append("\n");
}

std::string gpuLine(const json::value& gpu) {
  std::string words = "GPU " + text(gpu, "index") + " (" + text(gpu, "name") + ")";
  if (flag(gpu, "simulated")) words += ", simulated: a stand-in at " + text(gpu, "standIn") + " of the guest";
  return words;
}

std::string nicLine(const json::value& nic) {
  std::vector<std::string> addresses;
  for (const json::value& address : list(nic, "addresses")) addresses.push_back(text(address, ""));
  const std::string bridge = text(nic, "bridge");
  std::string words =
      text(nic, "mac") + " on " + (bridge.empty() ? text(nic, "network") : "bridge " + bridge);
  return addresses.empty() ? words : words + ", " + join(addresses, ", ");
}

std::string holdText(const json::value& vm) {
  std::string words = text(vm, "hold");
  if (words == "lend") {
    words += "; its users have " + text(vm, "noticeSeconds") + " s when the VM starts, then " +
             (text(vm, "atDeadline") == "stop" ? "they are stopped" : "the start fails");
  }
  return words;
}

}  // namespace

std::string vmTable(const json::value& vms, const TextStyle& style) {
  Table table({{"VM", Column::Wide},
               {"POWER"},
               {"PROVISIONING"},
               {"SIZE", Column::Wide},
               {"GPU"},
               {"HOLD"},
               {"ADDRESS"},
               {"MESSAGE", Column::Wide}});
  for (const json::value& vm : list(vms, "")) {
    table.add({text(vm, "name"), stateWord(vm, "powerState"), stateWord(vm, "provisioningState"),
               text(vm, "size"), gpusText(vm), text(vm, "hold"), addressesText(vm), text(vm, "message")});
  }
  return table.empty() ? "no virtual machines\n" : table.text(style);
}

std::string vmPage(const json::value& vm, const TextStyle& style) {
  std::string page;
  const std::string power = stateWord(vm, "powerState");
  line(page, "name", text(vm, "name"));
  line(page, "power", toned(power, toneOf(power), style));
  line(page, "provisioning", stateWord(vm, "provisioningState"));
  line(page, "message", text(vm, "message"));
  line(page, "error", text(vm, "error.message"));
  line(page, "size",
       text(vm, "size") + ": " + text(vm, "vcpus") + " vCPUs, " + mib(vm, "memoryMiB") + ", " +
           text(vm, "gpuCount") + " GPUs");
  line(page, "simulated", flag(vm, "simulated") ? "yes" : "");
  line(page, "holds GPU", gpusText(vm));
  line(page, "deallocation", holdText(vm));
  line(page, "image", text(vm, "image") + " (" + text(vm, "os") + ", " + text(vm, "generation") + ")");
  line(page, "accelerator", text(vm, "accelerator"));
  line(page, "user", text(vm, "user"));
  line(page, "created", timeText(text(vm, "created")));
  for (const json::value& gpu : list(vm, "gpus")) line(page, "gpu", gpuLine(gpu));
  for (const json::value& nic : list(vm, "nics")) line(page, "nic", nicLine(nic));
  for (const json::value& disk : list(vm, "disks")) {
    line(page, "disk", "LUN " + text(disk, "lun") + ", " + gib(disk, "bytes"));
  }
  return page;
}

std::string extensionTable(const json::value& extensions, const TextStyle& style) {
  Table table({{"EXTENSION", Column::Wide},
               {"TYPE"},
               {"STATE"},
               {"%", Column::Number},
               {"DRIVER"},
               {"CODE", Column::Number},
               {"MESSAGE", Column::Wide}});
  for (const json::value& each : list(extensions, "")) {
    const std::string doing = text(each, "message");
    table.add({text(each, "name"), text(each, "type"), text(each, "state"),
               doing.empty() ? "" : text(each, "percent"), text(each, "outcome.driverVersion"),
               text(each, "outcome.code"), doing.empty() ? text(each, "outcome.message") : doing});
  }
  return table.empty() ? "no extensions\n" : table.text(style);
}

std::string imageTable(const json::value& images, const TextStyle& style) {
  Table table({{"IMAGE", Column::Wide},
               {"STATE"},
               {"%", Column::Number},
               {"OS"},
               {"GENERATION"},
               {"USERS"},
               {"SIZE", Column::Number},
               {"SHA256", Column::Wide}});
  for (const json::value& image : list(images, "")) {
    table.add({text(image, "name"), text(image, "state"), text(image, "percent"), text(image, "os"),
               text(image, "generation"), text(image, "osState"), gib(image, "virtualBytes"),
               text(image, "sha256")});
  }
  return table.empty() ? "no images\n" : table.text(style);
}

std::string sizeTable(const json::value& sizes, const TextStyle& style) {
  Table table({{"SIZE", Column::Wide},
               {"VCPUS", Column::Number},
               {"MEMORY", Column::Number},
               {"GPUS", Column::Number},
               {"MODEL"},
               {"DISKS", Column::Number},
               {"NICS", Column::Number},
               {"ORIGIN"},
               {"USED BY", Column::Wide}});
  for (const json::value& size : list(sizes, "")) {
    std::vector<std::string> users;
    for (const json::value& vm : list(size, "usedBy")) users.push_back(text(vm, ""));
    table.add({text(size, "name"), text(size, "vcpus"), mib(size, "memoryMiB"), text(size, "gpus"),
               text(size, "gpuModel"), text(size, "maxDataDisks"), text(size, "maxNics"),
               text(size, "origin"), join(users, ", ")});
  }
  return table.empty() ? "no sizes\n" : table.text(style);
}

}  // namespace berth::cli
