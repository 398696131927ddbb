// Asking for the GPU driver extension: what is asked, whether this VM can have it, and the record that
// remembers how it stands. Pure. Names, versions, settings and exit codes are those of the appliance's and
// Azure's documents (docs/extension.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "vm/vm_spec.h"

namespace berth::vm::extension {

inline constexpr const char* kPublisher = "Microsoft.HpcCompute";
inline constexpr const char* kLinuxType = "NvidiaGpuDriverLinux";
inline constexpr const char* kWindowsType = "NvidiaGpuDriverWindows";
inline constexpr std::size_t kMaxSettings = std::size_t{64} * 1024;

// Reasons of refusals (B17); they never change.
inline constexpr const char* kNoGpu = "ExtensionNeedsGpu";
inline constexpr const char* kOtherOs = "ExtensionForOtherOs";
inline constexpr const char* kUnsupportedImage = "ExtensionImageNotSupported";

// Exit codes as documented.
inline constexpr int kDone = 0;
inline constexpr int kWindowsReboot = 1;  // Done, and the guest must restart.
inline constexpr int kLinuxNoGpu = 11;    // No NVIDIA GPU in the guest.
inline constexpr int kLinuxNoImage = 12;  // No driver for this image.
inline constexpr int kLinuxFailed = 14;
inline constexpr int kWindowsFailed = 100;  // Not supported, or failed.
inline constexpr int kWindowsTimeout = 240;

/// What a user may set; empty: not set.
struct Settings {
  std::string driver_url;       // DRIVER_URL, DriverURL: one file to download in the guest.
  std::string driver_version;   // driverVersion; "latest" is the default.
  std::string certificate_url;  // DriverCertificateUrl (Windows)
  std::string category;         // DriverType "CUDA" or "GRID"; installGridNC and installGridND mean "GRID".
  std::vector<std::string> unused;  // Known to the appliance and without effect here, or unknown: to be told.
  bool operator==(const Settings&) const = default;
};

struct Request {
  std::string name;  // The extension's own, within its VM.
  std::string publisher = kPublisher;
  std::string type;
  std::string version;   // typeHandlerVersion
  std::string settings;  // JSON object, or empty.
  bool operator==(const Request&) const = default;
};

/// The VM as far as the extension is concerned.
struct Target {
  VmName vm;
  GuestOs os = GuestOs::Linux;
  int gpus = 0;
};

/// InvalidArgument names the setting: "settings.DRIVER_URL: is not text".
Result<Settings> parseSettings(std::string_view json_text);

/// InvalidArgument: another publisher, an unknown type, a name that is none, bad settings. Refused: kNoGpu,
/// kOtherOs.
Result<Settings> check(const Request& request, const Target& target);

GuestOs handlerOs(const Request& request);

enum class State : std::uint8_t { Creating, Succeeded, Failed, Deleting };
std::string_view name(State state);  // "Creating", ... as ProvisioningState has them.

/// How an attempt ended.
struct Outcome {
  int code = kDone;            // As documented for the handler.
  bool reboot = false;         // The guest must restart to use the driver.
  std::string message;         // What happened, for people.
  std::string remedy;          // What helps; empty: nothing failed.
  std::string output;          // The end of what the installer said.
  std::string driver_version;  // As the guest tells it; empty: it does not.
  std::string bundle;          // The version of the bundle that was installed; empty: not from a bundle.
  std::vector<std::string> warnings;
  bool operator==(const Outcome&) const = default;
};
bool succeeded(const Outcome& outcome, GuestOs os);

/// An extension of a VM, as the ledger keeps it.
struct Record {
  Request request;
  State state = State::Creating;
  std::int64_t attempt = 1;        // Of the same request; names the attempt's folder in the guest.
  std::optional<Outcome> outcome;  // Of the last attempt that ended.
  bool operator==(const Record&) const = default;
};

Record begin(Request request);
/// Conflict: it is being installed or removed, or it has not failed.
Result<Record> retry(const Record& record);
/// Installs again with another version or other settings. Conflict: it is being installed or removed.
/// InvalidArgument: another type; remove it first.
Result<Record> update(const Record& record, Request request);
/// Conflict: it is being removed.
Result<Record> remove(const Record& record);
/// The record after the attempt; of a Deleting one only where the removal failed.
Record finish(Record record, Outcome outcome);

/// JSON for the ledger and back. Corrupt: not what toJson writes.
std::string toJson(const Record& record);
Result<Record> recordFromJson(std::string_view text);

}  // namespace berth::vm::extension
