#include "cli/appliance_text.h"

#include <algorithm>
#include <cctype>

#include <boost/json.hpp>

#include "cli/json_fields.h"

namespace berth::cli {
namespace {

namespace json = boost::json;

std::string left(std::string text, std::size_t width) {
  text.resize(width, ' ');
  return text;
}

std::string right(const std::string& text, std::size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}

std::string orNone(const std::string& text, std::string_view unit = "") {
  return text.empty() ? "N/A" : text + std::string(unit);
}

std::string watts(const json::value& sample, std::string_view path) {
  const auto milliwatts = number(sample, path);
  return milliwatts ? std::to_string(*milliwatts / 1000) + "W" : "N/A";
}

std::string computeMode(const json::value& gpu) {
  const std::string mode = text(gpu, "sample.computeMode");
  if (mode == "exclusiveProcess") return "E. Process";
  if (mode == "prohibited") return "Prohibited";
  return mode.empty() ? "N/A" : "Default";
}

std::string gpuRow(const json::value& gpu) {
  const json::value& sample = at(gpu, "sample");
  const std::string memory = right(orNone(text(sample, "memoryUsedMiB"), "MiB"), 9) + " / " +
                             right(orNone(text(gpu, "memoryMiB"), "MiB"), 8);
  const std::string power =
      right(watts(sample, "powerMilliwatts"), 4) + " / " + right(watts(sample, "powerLimitMilliwatts"), 4);
  std::string row = "| " + right(text(gpu, "index"), 3) + "  " + left(text(gpu, "name"), 20) + "N/A  | ";
  row += right(busId(text(gpu, "pciAddress")), 16) + " N/A |                  N/A |\n";
  row += "| N/A " + right(orNone(text(sample, "temperatureC"), "C"), 5) + "  N/A  " + left(power, 14) + "| ";
  row += memory + " | " + right(orNone(text(sample, "utilizationPercent"), "%"), 8) + " " +
         right(computeMode(gpu), 11) + " |\n";
  row += "|                               |                      |                  N/A |\n";
  return row + "+-------------------------------+----------------------+----------------------+\n";
}

std::string processName(const std::string& name, std::size_t width) {
  if (name.size() <= width) return left(name, width);
  return "..." + name.substr(name.size() - (width - 3));
}

std::string processRow(const json::value& gpu, const json::value& process) {
  return "| " + right(text(gpu, "index"), 4) + "   N/A  N/A " + right(text(process, "pid"), 9) + "  " +
         right(text(process, "type"), 5) + "   " + processName(text(process, "name"), 30) +
         right(orNone(text(process, "memoryMiB"), "MiB"), 10) + " |\n";
}

std::string versionRow(const json::value& status) {
  const std::string driver = orNone(text(status, "device.driver.driverVersion"));
  return "| NVIDIA-SMI " + left(driver, 13) + "Driver Version: " + left(driver, 13) +
         "CUDA Version: " + left(orNone(text(status, "device.driver.cudaVersion")), 9) + "|\n";
}

std::string computeModeLines(const json::value& mps, bool on) {
  std::string lines;
  for (const json::value& gpu : list(mps, "")) {
    const std::string state = text(gpu, "state");
    if (state != (on ? "running" : "off")) continue;
    lines += std::string("Set compute mode to ") + (on ? "EXCLUSIVE_PROCESS" : "DEFAULT") + " for GPU " +
             busId(text(gpu, "pciAddress")) + ".\n";
  }
  return lines;
}

}  // namespace

std::string busId(std::string_view pci_address) {
  std::string id(pci_address);
  std::transform(id.begin(), id.end(), id.begin(), [](unsigned char c) { return std::toupper(c); });
  const std::size_t domain = id.find(':');
  return domain == std::string::npos || domain >= 8 ? id : std::string(8 - domain, '0') + id;
}

std::string startMpsText(std::string_view host_name, const json::value& mps) {
  return std::string(host_name) + "\n" + computeModeLines(mps, true) +
         "All done.\nCreated nvidia-mps.service.\n";
}

std::string stopMpsText(std::string_view host_name, const json::value& mps) {
  return std::string(host_name) + "\n" + computeModeLines(mps, false) +
         "All done.\nRemoved nvidia-mps.service.\n";
}

std::string nvidiaSmiText(const json::value& status, std::string_view date) {
  const std::string edge =
      "+-----------------------------------------------------------------------------+\n";
  std::string page = text(status, "device.hostname") + "\n\n" + std::string(date) + "\n" + edge;
  page += versionRow(status);
  page +=
      "|-------------------------------+----------------------+----------------------+\n"
      "| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |\n"
      "| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |\n"
      "|                               |                      |               MIG M. |\n"
      "|===============================+======================+======================|\n";
  std::string processes;
  for (const json::value& gpu : list(status, "gpus")) {
    page += gpuRow(gpu);
    for (const json::value& process : list(gpu, "processes")) processes += processRow(gpu, process);
  }
  page += "\n" + edge;
  page +=
      "| Processes:                                                                  |\n"
      "|  GPU   GI   CI        PID   Type   Process name                  GPU Memory |\n"
      "|        ID   ID                                                   Usage      |\n"
      "|=============================================================================|\n";
  page += processes.empty()
              ? "|  No running processes found                                                 |\n"
              : processes;
  return page + edge;
}

}  // namespace berth::cli
