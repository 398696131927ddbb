#include "vm/custom_sizes.h"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>

#include "vm/json.h"

namespace berth::vm {
namespace {

constexpr std::string_view kPlace = "custom sizes";
constexpr std::int64_t kMost = 1'000'000'000;

/// The same text with double quotes for single ones; every offset stays what it was.
std::string withDoubleQuotes(std::string_view text) {
  std::string json(text);
  if (json.find('"') == std::string::npos) std::replace(json.begin(), json.end(), '\'', '"');
  return json;
}

Result<CustomSize> readSize(const boost::json::value& value, std::size_t index) {
  FieldReader fields(value, std::string(kPlace) + ": [" + std::to_string(index) + "]");
  CustomSize size;
  size.name = fields.text("Name");
  size.cores = static_cast<int>(fields.number("Cores", 1, kMost));
  size.memory = MiB{fields.number("MemoryMb", 1, kMost)};
  if (const auto count = fields.optionalNumber("GpuCount", 1, kMost)) {
    size.gpu_count = static_cast<int>(*count);
  }
  TRY_VOID(fields.finish());
  const auto printable = [](char c) { return c > ' ' && c < '\x7f' && c != '\'' && c != '"' && c != '\\'; };
  if (size.name.empty() || !std::all_of(size.name.begin(), size.name.end(), printable)) {
    return fail(ErrorCode::InvalidArgument,
                std::string(kPlace) + ": [" + std::to_string(index) + "].Name: is not a size's name");
  }
  return size;
}

}  // namespace

Result<std::vector<CustomSize>> parseCustomSizes(std::string_view text) {
  if (text.size() > kMaxCustomSizesText) {
    return fail(ErrorCode::InvalidArgument, std::string(kPlace) + ": more than " +
                                                std::to_string(kMaxCustomSizesText) + " bytes of text");
  }
  TRY(const auto json, parseJson(withDoubleQuotes(text), kPlace));
  const boost::json::array* list = json.if_array();
  if (list == nullptr) {
    return fail(ErrorCode::InvalidArgument, std::string(kPlace) + ": not a list in [ ]");
  }
  std::vector<CustomSize> sizes;
  for (std::size_t i = 0; i < list->size(); ++i) {
    TRY(auto size, readSize((*list)[i], i));
    for (const CustomSize& other : sizes) {
      if (other.name != size.name) continue;
      return fail(ErrorCode::InvalidArgument, std::string(kPlace) + ": " + size.name + " comes twice");
    }
    sizes.push_back(std::move(size));
  }
  return sizes;
}

std::string printCustomSizes(const std::vector<CustomSize>& sizes, CustomSizesStyle style) {
  const std::string q(1, style == CustomSizesStyle::Json ? '"' : '\'');
  const auto key = [&q](std::string_view name) { return q + std::string(name) + q + ":"; };
  std::string text = "[";
  for (const CustomSize& size : sizes) {
    if (text.size() > 1) text += ',';
    text += "{" + key("Name") + q + size.name + q + "," + key("Cores") + std::to_string(size.cores) + "," +
            key("MemoryMb") + std::to_string(size.memory.value);
    // The appliance prints a blank in front of this number and of no other.
    if (size.gpu_count) text += "," + key("GpuCount") + " " + std::to_string(*size.gpu_count);
    text += "}";
  }
  return text + "]";
}

}  // namespace berth::vm
