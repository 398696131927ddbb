// The catalogue of drivers as Azure/azhpc-extensions publishes it (Nvidia-GPU-Linux-Resources.json and its
// Windows twin): which driver suits which OS, and where it is. What Berth does not use of it is passed over;
// the format is its publisher's and grows. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "vm/extension/guest_os.h"
#include "vm/vm_spec.h"

namespace berth::vm::extension {

/// How the catalogue wants a driver installed; empty texts: not given.
struct CatalogDriver {
  std::string category;  // "CUDA", "GRID"
  std::string version;   // "535.54"
  std::vector<std::string> systems;
  std::vector<std::string> models;  // "Nvidia Tesla T4"
  std::string package_url;          // One file: a .run, .exe or .rpm.
  std::string repository_url;
  std::string pin_url;
  std::string dkms_url;
  int install_method = 0;  // 0: the package, 1: a repository with a pin file, 2: a repository file.
  bool archived = false;   // Superseded by a newer one.
  bool operator==(const CatalogDriver&) const = default;
};

struct Catalog {
  GuestOs os = GuestOs::Linux;
  std::vector<CatalogDriver> drivers;  // As the file has them: newest first, archived ones last.
};

/// InvalidArgument names the place: "drivers.json: Latest.Category[1].Versions[0].DriverVersion: is missing".
Result<Catalog> parseCatalog(std::string_view text, const std::string& place);

struct Wanted {
  OsInfo os;
  std::string gpu_model;  // "Tesla T4"; empty: any.
  std::string category = "CUDA";
  std::string version;  // Empty or "latest": the newest.
};

/// The first driver for that OS, model, category and version; nullptr: the catalogue has none.
const CatalogDriver* choose(const Catalog& catalog, const Wanted& wanted);

}  // namespace berth::vm::extension
