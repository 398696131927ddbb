// Drivers that lie on the device, so that a guest needs no Internet: a folder of bundles, each a folder with
// the files, their checksums (SHA256SUMS, as sha256sum writes it) and bundle.json, which says for which
// guests it is and what to run. docs/extension.md has the format.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "os/process.h"
#include "vm/extension/guest_os.h"
#include "vm/hypervisor.h"

namespace berth::vm::extension {

inline constexpr const char* kChecksumFile = "SHA256SUMS";
inline constexpr const char* kBundleFile = "bundle.json";

struct Checksum {
  std::string file;  // A plain name: no folders, nothing a shell would take for more than a name.
  std::string sha256;
  bool operator==(const Checksum&) const = default;
};

struct Bundle {
  std::filesystem::path folder;
  std::string type;     // kLinuxType, kWindowsType
  std::string version;  // Of the driver.
  std::vector<std::string>
      systems;          // In the catalogue's words; guests outside them are tried with a warning.
  std::string install;  // Files of the bundle.
  std::vector<std::string> arguments;
  std::string verify;  // Empty: nvidia-smi tells.
  std::string remove;  // Empty: it cannot be removed.
  std::vector<Checksum> files;
  bool operator==(const Bundle&) const = default;
};

/// InvalidArgument names the line: "SHA256SUMS:3: is not a checksum and a name".
Result<std::vector<Checksum>> parseChecksums(std::string_view text);

/// bundle.json without its files. InvalidArgument names the place.
Result<Bundle> parseBundle(std::string_view text, const std::string& place);

/// One bundle; its files are not read yet. InvalidArgument: a file that the bundle runs has no checksum.
Result<Bundle> readBundle(const std::filesystem::path& folder);

struct Shelf {
  std::vector<Bundle> bundles;  // Newest version first.
  std::vector<Error> problems;  // Of folders that are no proper bundle.
};
/// Every bundle in the folder. A folder that is not there is empty.
Shelf readShelf(const std::filesystem::path& folder);

/// Compares every file with its checksum. InvalidArgument names the files that differ. Blocks on the disk.
Result<void> verifyFiles(os::ProcessRunner& runner, const Bundle& bundle, Deadline deadline);

/// "535.54" before "535.183": numbers between dots, compared as numbers.
bool isNewer(std::string_view version, std::string_view than);

}  // namespace berth::vm::extension
