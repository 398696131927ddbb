#include "vm/extension/choice.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/text.h"

namespace berth::vm::extension {
namespace {

constexpr int kLinuxWrongUse = 1;
constexpr int kLinuxNoLis = 10;
constexpr int kLinuxNoSize = 13;
constexpr int kWindowsTimeout2 = 840;
constexpr int kWindowsException = -1;
constexpr int kWindowsPending = -50;  // -50 to -59: a restart is pending.

bool wantsLatest(const Settings& settings) {
  return settings.driver_version.empty() || settings.driver_version == "latest";
}

bool isCandidate(const Bundle& bundle, const Request& request, const Settings& settings) {
  return bundle.type == request.type && (wantsLatest(settings) || bundle.version == settings.driver_version);
}

std::optional<Choice> fromBundles(const Request& request, const Settings& settings, const OsInfo& os,
                                  const Offer& offer) {
  for (const Bundle& bundle : offer.bundles) {
    if (!isCandidate(bundle, request, settings) || !matchesAny(bundle.systems, os)) continue;
    return Choice{bundle, bundle.version, {}};
  }
  return std::nullopt;
}

std::string untested(const OsInfo& os, const std::vector<std::string>& systems) {
  return "no driver is listed for " + os.pretty_name + "; one for " + join(systems, ", ") +
         " was tried, which may work and was not tested";
}

std::optional<Choice> fromOtherBundles(const Request& request, const Settings& settings, const OsInfo& os,
                                       const Offer& offer) {
  for (const Bundle& bundle : offer.bundles) {
    if (!isCandidate(bundle, request, settings)) continue;
    return Choice{bundle, bundle.version, {untested(os, bundle.systems)}};
  }
  return std::nullopt;
}

Choice fromDriver(const CatalogDriver& driver, const Settings& settings) {
  if (!driver.package_url.empty()) {
    return {DownloadSource{driver.package_url, settings.certificate_url}, driver.version, {}};
  }
  return {RepositorySource{driver.repository_url, driver.pin_url, driver.dkms_url}, driver.version, {}};
}

std::optional<Choice> fromCatalogs(const Settings& settings, const OsInfo& os, const Offer& offer) {
  Wanted wanted;
  wanted.os = os;
  if (!settings.category.empty()) wanted.category = settings.category;
  wanted.version = settings.driver_version;
  for (const Catalog& catalog : offer.catalogs) {
    if (catalog.os != family(os)) continue;
    if (const CatalogDriver* driver = choose(catalog, wanted)) return fromDriver(*driver, settings);
  }
  return std::nullopt;
}

Error unsupported(const Settings& settings, const OsInfo& os, const Offer& offer) {
  std::vector<std::string> there;
  for (const Bundle& bundle : offer.bundles) there.push_back(bundle.type + " " + bundle.version);
  const std::string what =
      wantsLatest(settings) ? std::string("no driver") : "no driver " + settings.driver_version;
  const std::string message = what + " for " + os.pretty_name + " lies on this device or in the catalogue";
  const std::string remedy =
      "put a bundle into the driver folder, or name a driver by the setting DRIVER_URL; bundles here: " +
      (there.empty() ? std::string("none") : join(there, ", "));
  return {ErrorCode::Refused, message, kUnsupportedImage, {{os.pretty_name, message, remedy}}};
}

struct Symptom {
  std::string_view text;
  std::string_view message;
  std::string_view remedy;
};

/// In the order they are looked for: what an installer says when it fails, and what that means.
constexpr std::array<Symptom, 10> kSymptoms{{
    {"Could not get lock", "another program holds the guest's package manager",
     "wait for it to end in the guest, then berth vm extension retry"},
    {"dpkg was interrupted", "the guest's package manager was interrupted earlier",
     "run dpkg --configure -a in the guest, then berth vm extension retry"},
    {"esolve host", "the guest cannot reach the network that the driver is on",
     "use a driver bundle on the device, or give the VM a network with Internet"},
    {"emporary failure", "the guest cannot reach the network that the driver is on",
     "use a driver bundle on the device, or give the VM a network with Internet"},
    {"could not be resolved", "the guest cannot reach the network that the driver is on",
     "use a driver bundle on the device, or give the VM a network with Internet"},
    {"checksum did NOT match", "a file was damaged on its way into the guest", "berth vm extension retry"},
    {"No space left", "the guest's disk is full", "free space in the guest or grow its disk, then retry"},
    {"kernel source", "the guest lacks the headers of its kernel",
     "install linux-headers for the running kernel in the guest, then retry"},
    {"Key was rejected", "the guest's kernel takes only signed modules (Secure Boot)",
     "turn Secure Boot off for the VM, then retry"},
    {"TLS/SSL", "the guest cannot make a secure connection (TLS 1.2 may be off)",
     "turn on TLS 1.2 (SchUseStrongCrypto) in the guest, or use a driver bundle"},
}};

std::string_view linuxCode(int code) {
  switch (code) {
    case kLinuxWrongUse:
      return "the installer was used wrongly";
    case kLinuxNoLis:
      return "Linux Integration Services are missing in the guest";
    case kLinuxNoGpu:
      return "the guest sees no NVIDIA GPU";
    case kLinuxNoImage:
      return "the guest's operating system is not supported";
    case kLinuxNoSize:
      return "the VM's size is not supported";
    default:
      return "the installation failed";
  }
}

std::string_view windowsCode(int code) {
  switch (code) {
    case kWindowsTimeout:
    case kWindowsTimeout2:
      return "the installation did not finish in time";
    case kWindowsException:
      return "the installer stopped with an exception";
    default:
      break;
  }
  return code <= kWindowsPending && code > kWindowsPending - 10
             ? "the guest must restart before the installation"
             : "the installation failed or is not supported";
}

}  // namespace

Result<Choice> choose(const Request& request, const Settings& settings, const OsInfo& os,
                      const Offer& offer) {
  if (!settings.driver_url.empty()) {
    return Choice{DownloadSource{settings.driver_url, settings.certificate_url},
                  wantsLatest(settings) ? std::string() : settings.driver_version,
                  {}};
  }
  if (auto choice = fromBundles(request, settings, os, offer)) return *std::move(choice);
  if (auto choice = fromCatalogs(settings, os, offer)) return *std::move(choice);
  if (auto choice = fromOtherBundles(request, settings, os, offer)) return *std::move(choice);
  return fail(unsupported(settings, os, offer));
}

Cause explain(int code, std::string_view output, GuestOs os) {
  for (const Symptom& symptom : kSymptoms) {
    if (output.find(symptom.text) == std::string_view::npos) continue;
    return {std::string(symptom.message), std::string(symptom.remedy)};
  }
  const std::string_view meaning = os == GuestOs::Windows ? windowsCode(code) : linuxCode(code);
  return {std::string(meaning) + " (exit code " + std::to_string(code) + ")",
          "the installer's output says more; berth vm extension retry tries again"};
}

int documentedCode(int code, GuestOs os) {
  if (os == GuestOs::Windows) {
    const bool pending = code <= kWindowsPending && code > kWindowsPending - 10;
    const bool known = code == kDone || code == kWindowsReboot || code == kWindowsFailed ||
                       code == kWindowsTimeout || code == kWindowsTimeout2 || code == kWindowsException ||
                       pending;
    return known ? code : kWindowsFailed;
  }
  const bool known = code == kDone || code == kLinuxWrongUse || (code >= kLinuxNoLis && code <= kLinuxFailed);
  return known ? code : kLinuxFailed;
}

}  // namespace berth::vm::extension
