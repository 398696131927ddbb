// Which driver an installation uses: the user's URL, a bundle on the device, or the catalogue's. Pure.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "vm/extension/bundle.h"
#include "vm/extension/catalog.h"
#include "vm/extension/guest_os.h"
#include "vm/extension/request.h"

namespace berth::vm::extension {

/// Downloaded in the guest: one file.
struct DownloadSource {
  std::string url;
  std::string
      certificate_url;  // Windows: the publisher's, trusted before the driver is installed. Empty: none.
};

/// The guest's package manager installs it from the vendor's repository.
struct RepositorySource {
  std::string url;
  std::string pin_url;
  std::string dkms_url;
};

struct Choice {
  std::variant<Bundle, DownloadSource, RepositorySource> source;
  std::string version;  // Empty: not known before.
  std::vector<std::string> warnings;
};

struct Offer {
  std::vector<Bundle> bundles;    // Newest first.
  std::vector<Catalog> catalogs;  // Of either OS.
};

/// In this order: settings.driver_url; the newest bundle for the guest's OS and the wanted version; the
/// catalogue's driver for it; a bundle of the same handler for another OS, with a warning that it was not
/// tested. Refused: kUnsupportedImage, which names the guest's OS and what there is.
Result<Choice> choose(const Request& request, const Settings& settings, const OsInfo& os, const Offer& offer);

/// Of a failed installer's output: what went wrong in the words of the documents, and what helps. Falls back
/// to the exit code.
struct Cause {
  std::string message;
  std::string remedy;
};
Cause explain(int code, std::string_view output, GuestOs os);

/// An installer's exit code as the handler documents it: one that is documented stays, any other is "failed".
int documentedCode(int code, GuestOs os);

}  // namespace berth::vm::extension
