#include "vm/extension/catalog.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/text.h"
#include "vm/json.h"

namespace berth::vm::extension {
namespace {

namespace json = boost::json;

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// A value and where it is. The first problem anywhere is kept in `problem`.
class Place {
 public:
  Place(const json::value* value, std::string where, std::optional<Error>& problem)
      : value_(value), where_(std::move(where)), problem_(&problem) {}

  void complain(std::string_view what) const {
    const char* const colon = where_.ends_with(": ") ? "" : ": ";
    if (!*problem_) *problem_ = Error{ErrorCode::InvalidArgument, where_ + colon + std::string(what), {}, {}};
  }

  /// The member, or nullopt where it is not.
  std::optional<Place> member(std::string_view key) const {
    const json::object* object = value_->if_object();
    if (object == nullptr) {
      complain("is not an object");
      return std::nullopt;
    }
    const json::value* value = object->if_contains(key);
    if (value == nullptr) return std::nullopt;
    return Place(value, where_ + (where_.ends_with(": ") ? "" : ".") + std::string(key), *problem_);
  }
  std::optional<Place> needed(std::string_view key) const {
    std::optional<Place> found = member(key);
    if (!found && value_->is_object()) {
      Place(value_, where_ + (where_.ends_with(": ") ? "" : ".") + std::string(key), *problem_)
          .complain("is missing");
    }
    return found;
  }

  /// Each element of a list; a single object counts as a list of one.
  void each(const std::function<void(const Place&)>& visit) const {
    const json::array* list = value_->if_array();
    if (list == nullptr && value_->is_object()) return visit(*this);
    if (list == nullptr) return complain("is not a list");
    for (std::size_t i = 0; i < list->size(); ++i) {
      visit(Place(&(*list)[i], where_ + "[" + std::to_string(i) + "]", *problem_));
    }
  }

  std::string text() const {
    if (const json::string* string = value_->if_string()) return std::string(*string);
    complain("is not text");
    return {};
  }
  std::int64_t number() const {
    if (const std::int64_t* number = value_->if_int64()) return *number;
    complain("is not a whole number");
    return 0;
  }
  const json::object* object() const { return value_->if_object(); }

 private:
  Place below(const json::value* value, std::string_view key) const {
    return Place(value, where_ + (where_.ends_with(": ") ? "" : ".") + std::string(key), *problem_);
  }

  const json::value* value_;
  std::string where_;
  std::optional<Error>* problem_;
};

std::string textOr(const Place& place, std::string_view key) {
  const std::optional<Place> found = place.member(key);
  return found ? found->text() : std::string();
}

/// A list that is not there is empty: the published catalogue has an archived driver without systems.
std::vector<std::string> textList(const Place& place, std::string_view key) {
  std::vector<std::string> words;
  if (const auto list = place.member(key)) {
    list->each([&](const Place& item) { words.push_back(item.text()); });
  }
  return words;
}

std::vector<std::string> modelsOf(const Place& version) {
  std::vector<std::string> models;
  const auto table = version.member("SupportedVmFamilyAndGPUModel");
  if (!table) return models;
  if (table->object() == nullptr) {
    table->complain("is not an object");
    return models;
  }
  for (const auto& row : *table->object()) {
    if (const auto model = table->member(row.key())) models.push_back(model->text());
  }
  return models;
}

CatalogDriver readDriver(const Place& place, CatalogDriver driver) {
  driver.systems = textList(place, "SupportedOSVersions");
  driver.package_url = textOr(place, "DirLink");
  if (driver.package_url.empty()) driver.package_url = textOr(place, "FwLink");
  driver.repository_url = textOr(place, "RepoUrl");
  driver.pin_url = textOr(place, "PinUrl");
  driver.dkms_url = textOr(place, "DKMSUrl");
  if (const auto method = place.member("InstallMethod")) {
    const std::int64_t number = method->number();
    if (number < 0 || number > 2) method->complain("is no known method (0, 1 or 2)");
    driver.install_method = static_cast<int>(number);
  }
  return driver;
}

void readVersion(const Place& place, CatalogDriver driver, std::vector<CatalogDriver>& drivers) {
  if (const auto version = place.needed("DriverVersion")) driver.version = version->text();
  driver.models = modelsOf(place);
  std::optional<Place> list = place.member("Driver");  // Linux
  if (!list) list = place.needed("Drivers");           // Windows
  if (list) list->each([&](const Place& item) { drivers.push_back(readDriver(item, driver)); });
}

void readCategory(const Place& place, bool archived, std::vector<CatalogDriver>& drivers) {
  CatalogDriver driver;
  driver.archived = archived;
  if (const auto name = place.needed("Name")) driver.category = name->text();
  if (const auto versions = place.needed("Versions")) {
    versions->each([&](const Place& version) { readVersion(version, driver, drivers); });
  }
}

void readPart(const Place& part, bool archived, std::vector<CatalogDriver>& drivers) {
  part.each([&](const Place& entry) {
    if (const auto categories = entry.needed("Category")) {
      categories->each([&](const Place& category) { readCategory(category, archived, drivers); });
    }
  });
}

GuestOs readOs(const Place& root) {
  const auto metadata = root.needed("Metadata");
  const auto os = metadata ? metadata->needed("OS") : std::nullopt;
  if (!os) return GuestOs::Linux;
  const std::string name = os->text();
  if (name != "Linux" && name != "Windows") os->complain("is neither Linux nor Windows");
  return name == "Windows" ? GuestOs::Windows : GuestOs::Linux;
}

/// The vendors' spellings differ: "Nvidia Tesla T4", "NVIDIA Tesla T4", "Tesla T4".
bool isModel(const std::string& listed, const std::string& model) {
  return model.empty() || toLower(listed).ends_with(toLower(model)) ||
         toLower(model).ends_with(toLower(listed));
}

bool suits(const CatalogDriver& driver, const Wanted& wanted) {
  const bool version =
      wanted.version.empty() || wanted.version == "latest" || wanted.version == driver.version;
  const bool model =
      driver.models.empty() || std::ranges::any_of(driver.models, [&](const std::string& listed) {
        return isModel(listed, wanted.gpu_model);
      });
  return version && model && driver.category == wanted.category && matchesAny(driver.systems, wanted.os);
}

}  // namespace

Result<Catalog> parseCatalog(std::string_view text, const std::string& place) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  TRY(const json::value value, parseJson(text, place));
  std::optional<Error> problem;
  const Place root(&value, place + ": ", problem);
  Catalog catalog;
  catalog.os = readOs(root);
  if (const auto latest = root.needed("Latest")) readPart(*latest, false, catalog.drivers);
  if (const auto archive = root.member("Archive")) readPart(*archive, true, catalog.drivers);
  if (problem) return fail(*std::move(problem));
  return catalog;
}

const CatalogDriver* choose(const Catalog& catalog, const Wanted& wanted) {
  const auto found = std::ranges::find_if(catalog.drivers,
                                          [&](const CatalogDriver& driver) { return suits(driver, wanted); });
  return found == catalog.drivers.end() ? nullptr : &*found;
}

}  // namespace berth::vm::extension
