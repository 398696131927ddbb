#include "cli/render_usage.h"

#include <utility>

#include <boost/json.hpp>

#include "cli/json_fields.h"

namespace berth::cli {
namespace {

namespace json = boost::json;
using Column = Table::Column;

constexpr std::int64_t kNsPerTenth = 100'000'000;
constexpr std::int64_t kBytesPerMiB = std::int64_t{1} << 20;

/// "-12.3" of -123 tenths.
std::string tenths(std::int64_t value) {
  const std::int64_t size = value < 0 ? -value : value;
  return (value < 0 ? "-" : "") + std::to_string(size / 10) + "." + std::to_string(size % 10);
}

std::string percent(const json::value& row, std::string_view path) {
  const auto permille = number(row, path);
  return permille ? tenths(*permille) + " %" : "";
}

std::string seconds(const json::value& row, std::string_view path) {
  const auto ns = number(row, path);
  return ns ? tenths(*ns / kNsPerTenth) + " s" : "";
}

std::string mib(const json::value& row, std::string_view path) {
  const auto bytes = number(row, path);
  return bytes ? std::to_string(*bytes / kBytesPerMiB) + " MiB" : "";
}

std::string granted(const json::value& row, std::string_view path, const std::string& unit,
                    std::string_view rung) {
  const auto value = number(row, path);
  if (!value || *value == 0) return "";
  const std::string enforced = text(row, rung);
  return std::to_string(*value) + unit +
         (enforced == "none" || enforced.empty() ? "" : " (" + enforced + ")");
}

Table usageTable() {
  return Table({{"CONTAINER", Column::Wide},
                {"GPU", Column::Number},
                {"SHARE", Column::Number},
                {"USED", Column::Number},
                {"LIMIT", Column::Number},
                {"MEMORY", Column::Number},
                {"GPU TIME", Column::Number},
                {"HELD BACK", Column::Number},
                {"REFUSED", Column::Number}});
}

void add(Table& table, const std::string& name, const json::value& row) {
  table.add({name, text(row, "gpu"), granted(row, "grantedPercent", " %", "computeRung"),
             percent(row, "recentPermille"), granted(row, "grantedMiB", " MiB", "memoryRung"),
             mib(row, "memoryBytes"), seconds(row, "gpuNs"), seconds(row, "guard.throttledNs"),
             text(row, "guard.refusedAllocations")});
}

}  // namespace

std::string renderGpuUsage(const json::value& usage, const TextStyle& style) {
  if (!usage.is_object()) return "";
  Table table = usageTable();
  for (const json::value& row : list(usage, "containers")) add(table, text(row, "container"), row);
  add(table, "(remainder)", at(usage, "remainder"));
  add(table, "(device)", at(usage, "device"));
  return table.text(style);
}

std::string renderWorkloadUsage(const json::value& workload, const TextStyle& style) {
  Table table = usageTable();
  for (const json::value& container : list(workload, "containers")) {
    for (const json::value& row : list(container, "usage")) add(table, text(row, "container"), row);
  }
  return table.empty() ? "" : table.text(style);
}

}  // namespace berth::cli
