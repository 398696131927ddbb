#include "vm/size_catalog.h"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "base/text.h"
#include "vm/json.h"

namespace berth::vm {
namespace {

constexpr int kMostSmall = 1'000'000;
constexpr std::size_t kMaxNameLength = 64;

Error refused(std::string reason, std::string message) {
  return Error{ErrorCode::Refused, std::move(message), std::move(reason), {}};
}

bool isSizeName(std::string_view name) {
  const auto ok = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kMaxNameLength && std::all_of(name.begin(), name.end(), ok);
}

Result<void> check(const VmSize& size) {
  const auto bad = [&size](std::string_view what) {
    return fail(ErrorCode::InvalidArgument, "size " + size.name + ": " + std::string(what));
  };
  if (!isSizeName(size.name)) return bad("a name is 1 to 64 letters, digits, '_' and '-'");
  if (size.vcpus < 1 || size.vcpus > kMaxSizeVcpus) return bad("vcpus is not between 1 and 1024");
  if (size.memory.value < 1 || size.memory.value > kMaxSizeMemoryMib) {
    return bad("memoryMiB is not between 1 and " + std::to_string(kMaxSizeMemoryMib));
  }
  if (size.gpus < 0 || size.gpus > kMaxSizeGpus) return bad("gpus is not between 0 and 64");
  if ((size.gpus > 0) != !size.gpu_model.empty()) return bad("gpus and gpuModel go together");
  return {};
}

Result<VmSize> readSize(const boost::json::value& value, const std::string& place, SizeOrigin origin) {
  FieldReader fields(value, place);
  VmSize size;
  size.name = fields.text("name");
  size.vcpus = static_cast<int>(fields.number("vcpus", 1, kMaxSizeVcpus));
  size.memory = MiB{fields.number("memoryMiB", 1, kMaxSizeMemoryMib)};
  size.temp_gib = static_cast<int>(fields.number("tempGiB", 0, kMostSmall));
  size.max_data_disks = static_cast<int>(fields.number("maxDataDisks", 0, kMostSmall));
  size.max_nics = static_cast<int>(fields.number("maxNics", 0, kMostSmall));
  size.premium_storage = fields.flagOr("premiumStorage", false);
  size.high_performance_network = fields.flagOr("highPerformanceNetwork", false);
  size.gpu_model = fields.textOr("gpuModel", "");
  size.gpus = static_cast<int>(fields.optionalNumber("gpus", 0, kMaxSizeGpus).value_or(0));
  size.gpu_memory_gib = static_cast<int>(fields.optionalNumber("gpuMemoryGiB", 0, kMostSmall).value_or(0));
  size.origin = fields.flagOr("custom", false) ? SizeOrigin::Custom : origin;
  if (const boost::json::value* iops = fields.child("iops")) {
    FieldReader inner(*iops, place + ".iops");
    size.iops.os_disk = static_cast<int>(inner.number("os", 0, kMostSmall));
    size.iops.temp_disk = static_cast<int>(inner.number("temp", 0, kMostSmall));
    size.iops.data_disk = static_cast<int>(inner.number("data", 0, kMostSmall));
    TRY_VOID(inner.finish());
  }
  TRY_VOID(fields.finish());
  TRY_VOID(check(size).during(place));
  return size;
}

Result<std::vector<VmSize>> readSizes(std::string_view text, std::string_view place, SizeOrigin origin) {
  TRY(const auto json, parseJson(text, place));
  FieldReader fields(json, std::string(place));
  const boost::json::value* list = fields.child("sizes");
  TRY_VOID(fields.finish());
  if (!list->is_array()) {
    return fail(ErrorCode::InvalidArgument, std::string(place) + ": sizes is not a list");
  }
  std::vector<VmSize> sizes;
  for (std::size_t i = 0; i < list->get_array().size(); ++i) {
    TRY(auto size,
        readSize(list->get_array()[i], std::string(place) + ": sizes[" + std::to_string(i) + "]", origin));
    sizes.push_back(std::move(size));
  }
  return sizes;
}

boost::json::value toJson(const VmSize& size) {
  boost::json::object row{
      {"name", size.name},
      {"vcpus", size.vcpus},
      {"memoryMiB", size.memory.value},
      {"tempGiB", size.temp_gib},
      {"maxDataDisks", size.max_data_disks},
      {"maxNics", size.max_nics},
      {"iops", {{"os", size.iops.os_disk}, {"temp", size.iops.temp_disk}, {"data", size.iops.data_disk}}},
      {"premiumStorage", size.premium_storage}};
  if (size.gpus > 0) {
    row["gpuModel"] = size.gpu_model;
    row["gpus"] = size.gpus;
    row["gpuMemoryGiB"] = size.gpu_memory_gib;
  }
  if (size.high_performance_network) row["highPerformanceNetwork"] = true;
  if (size.origin == SizeOrigin::Custom) row["custom"] = true;
  return row;
}

int countOfModel(const std::vector<std::string>& fitted, std::string_view model) {
  return static_cast<int>(std::count_if(
      fitted.begin(), fitted.end(), [model](const std::string& name) { return isGpuModel(name, model); }));
}

/// A6, and the box's number of GPUs.
Result<void> checkGpus(const VmSize& size, const std::vector<std::string>& fitted) {
  if (size.gpus == 0) return {};
  const int have = countOfModel(fitted, size.gpu_model);
  if (have == 0) {
    return fail(refused("GpuModelMismatch", "size " + size.name + " is for " + size.gpu_model +
                                                " GPUs; this device has " +
                                                (fitted.empty() ? "no GPU" : join(fitted, ", "))));
  }
  if (have < size.gpus) {
    return fail(refused("InsufficientGpu", "size " + size.name + " has " + std::to_string(size.gpus) + " " +
                                               size.gpu_model + " GPUs; this device has " +
                                               std::to_string(have)));
  }
  return {};
}

bool containsName(const std::set<std::string>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(),
                     [name](const std::string& other) { return toLower(other) == toLower(name); });
}

}  // namespace

bool isGpuModel(std::string_view gpu_name, std::string_view model) {
  std::string words = toLower(gpu_name);
  std::replace(words.begin(), words.end(), '-', ' ');
  const std::vector<std::string> list = split(words, ' ');
  return std::find(list.begin(), list.end(), toLower(model)) != list.end();
}

Result<SizeCatalog> SizeCatalog::parse(std::string_view text, std::string_view place) {
  SizeCatalog catalog;
  TRY(auto sizes, readSizes(text, place, SizeOrigin::Builtin));
  for (VmSize& size : sizes) {
    if (catalog.find(size.name) != nullptr) {
      return fail(ErrorCode::InvalidArgument, std::string(place) + ": size " + size.name + " comes twice");
    }
    catalog.sizes_.push_back(std::move(size));
  }
  return catalog;
}

const VmSize* SizeCatalog::find(std::string_view name) const {
  const std::string wanted = toLower(name);
  const auto found = std::find_if(sizes_.begin(), sizes_.end(),
                                  [&wanted](const VmSize& size) { return toLower(size.name) == wanted; });
  return found == sizes_.end() ? nullptr : &*found;
}

VmSize* SizeCatalog::findMutable(std::string_view name) {
  const VmSize* found = find(name);
  return found == nullptr ? nullptr : &sizes_[static_cast<std::size_t>(found - sizes_.data())];
}

std::vector<VmSize> SizeCatalog::offered(const std::vector<std::string>& fitted) const {
  std::vector<VmSize> result;
  std::copy_if(sizes_.begin(), sizes_.end(), std::back_inserter(result),
               [&fitted](const VmSize& size) { return checkGpus(size, fitted).has_value(); });
  return result;
}

Result<VmSize> SizeCatalog::choose(std::string_view name, const std::vector<std::string>& fitted) const {
  const VmSize* size = find(name);
  if (size == nullptr) {
    return fail(Error{ErrorCode::NotFound,
                      "there is no VM size " + std::string(name) + "; `berth size list` shows those offered",
                      "UnknownSize",
                      {}});
  }
  TRY_VOID(checkGpus(*size, fitted));
  return *size;
}

Result<void> SizeCatalog::add(VmSize size) {
  size.origin = SizeOrigin::User;
  TRY_VOID(check(size));
  if (const VmSize* taken = find(size.name)) {
    return fail(ErrorCode::Conflict, "there is a size " + taken->name + " already");
  }
  sizes_.push_back(std::move(size));
  return {};
}

Result<void> SizeCatalog::remove(std::string_view name, const std::set<std::string>& in_use) {
  const VmSize* size = find(name);
  if (size == nullptr) return fail(ErrorCode::NotFound, "there is no VM size " + std::string(name));
  if (size->origin != SizeOrigin::User) {
    return fail(refused("SizeBuiltin", "size " + size->name + " came with Berth and stays"));
  }
  if (containsName(in_use, name)) {
    return fail(refused("SizeInUse", "size " + size->name + " is in use by a VM; delete or resize it first"));
  }
  sizes_.erase(sizes_.begin() + (size - sizes_.data()));
  return {};
}

std::vector<CustomSize> SizeCatalog::customSizes(const std::vector<std::string>& fitted) const {
  std::vector<CustomSize> result;
  for (const VmSize& size : sizes_) {
    if (size.origin != SizeOrigin::Custom) continue;
    if (size.gpus > 0 && countOfModel(fitted, size.gpu_model) == 0) continue;
    result.push_back(
        {size.name, size.vcpus, size.memory, size.gpus > 0 ? std::optional<int>(size.gpus) : std::nullopt});
  }
  return result;
}

Result<void> SizeCatalog::setCustomSizes(const std::vector<CustomSize>& changes,
                                         const std::vector<std::string>& fitted,
                                         const std::set<std::string>& in_use) {
  SizeCatalog changed = *this;
  for (const CustomSize& change : changes) {
    VmSize* size = changed.findMutable(change.name);
    if (size == nullptr || size->origin != SizeOrigin::Custom) {
      return fail(ErrorCode::InvalidArgument,
                  change.name + " is not a custom size; their names are fixed (Custom_...)");
    }
    if (change.gpu_count && size->gpus == 0) {
      return fail(ErrorCode::InvalidArgument, size->name + " has no GPU: GpuCount does not apply");
    }
    VmSize wanted = *size;
    wanted.vcpus = change.cores;
    wanted.memory = change.memory;
    if (change.gpu_count) {
      const int gpu_memory_each = size->gpu_memory_gib / size->gpus;
      wanted.gpus = *change.gpu_count;
      wanted.gpu_memory_gib = gpu_memory_each * *change.gpu_count;
    }
    if (wanted == *size) continue;
    TRY_VOID(check(wanted));
    TRY_VOID(checkGpus(wanted, fitted));
    if (containsName(in_use, size->name)) {
      return fail(
          refused("SizeInUse", "size " + size->name + " is in use by a VM and frozen until it is removed"));
    }
    *size = std::move(wanted);
  }
  *this = std::move(changed);
  return {};
}

std::string SizeCatalog::storedText() const {
  boost::json::array rows;
  for (const VmSize& size : sizes_) {
    if (size.origin != SizeOrigin::Builtin) rows.push_back(toJson(size));
  }
  return boost::json::serialize(boost::json::object{{"sizes", std::move(rows)}});
}

Result<void> SizeCatalog::addStored(std::string_view text, std::string_view place) {
  TRY(auto stored, readSizes(text, place, SizeOrigin::User));
  for (VmSize& size : stored) {
    VmSize* known = findMutable(size.name);
    if (known == nullptr) {
      sizes_.push_back(std::move(size));
    } else if (known->origin == size.origin) {
      *known = std::move(size);
    }
    // A later release of Berth may bring a size that a user had added before: Berth's own stands.
  }
  return {};
}

}  // namespace berth::vm
