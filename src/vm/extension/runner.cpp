#include "vm/extension/runner.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "base/text.h"
#include "os/files.h"
#include "os/unique_fd.h"
#include "vm/extension/guest_scripts.h"

namespace berth::vm::extension {
namespace {

namespace fs = std::filesystem;

constexpr std::uint16_t kNvidia = 0x10de;
constexpr std::size_t kKeptOutput = 4000;
constexpr std::chrono::seconds kCallTime{60};
constexpr std::chrono::minutes kReadyTime{10};  // A guest that boots, emulated, needs some.
constexpr int kPercentWaiting = 5;
constexpr int kPercentCopying = 10;
constexpr int kPercentInstalling = 50;
constexpr int kPercentChecking = 95;

const char* folderOf(GuestOs os) {
  return os == GuestOs::Windows ? "C:\\Packages\\Plugins\\Microsoft.HpcCompute.NvidiaGpuDriverWindows"
                                : "/var/lib/berth-extension";
}

std::string inFolder(GuestOs os, const std::string& folder, const std::string& file) {
  return folder + (os == GuestOs::Windows ? "\\" : "/") + file;
}

std::string scriptPath(GuestOs os) {
  return inFolder(os, folderOf(os), os == GuestOs::Windows ? "berth.ps1" : "berth.sh");
}

std::vector<std::string> interpreter(GuestOs os) {
  if (os == GuestOs::Linux) return {"/bin/sh", scriptPath(os)};
  return {"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
          "-NoProfile",
          "-ExecutionPolicy",
          "Bypass",
          "-File",
          scriptPath(os)};
}

std::vector<std::string> makeFolder(GuestOs os, const std::string& folder) {
  if (os == GuestOs::Linux) return {"/bin/mkdir", "-p", folder};
  return {"C:\\Windows\\System32\\cmd.exe", "/c", "if not exist " + folder + " mkdir " + folder};
}

int failedCode(GuestOs os) { return os == GuestOs::Windows ? kWindowsFailed : kLinuxFailed; }

Outcome failure(int code, std::string message, std::string remedy) {
  Outcome outcome;
  outcome.code = code;
  outcome.message = std::move(message);
  outcome.remedy = std::move(remedy);
  return outcome;
}

/// True for an error after which the same attempt can go on: the hypervisor is away, not the guest.
bool isPassing(const Error& error) {
  return error.code == ErrorCode::Unavailable && error.reason != "AgentUnavailable";
}

Outcome outcomeOf(const Error& error, GuestOs os) {
  const std::string remedy = error.details.empty() ? std::string() : error.details.front().remedy;
  if (error.reason == "AgentUnavailable") {
    return failure(
        failedCode(os), error.message,
        "the guest needs the package qemu-guest-agent (Linux) or the QEMU guest agent service (Windows)");
  }
  if (error.reason == kUnsupportedImage) {
    return failure(os == GuestOs::Windows ? kWindowsFailed : kLinuxNoImage, error.message, remedy);
  }
  if (error.code == ErrorCode::Timeout) {
    return failure(os == GuestOs::Windows ? kWindowsTimeout : kLinuxFailed, error.message,
                   "look into the guest, then berth vm extension retry");
  }
  return failure(failedCode(os), error.message, remedy.empty() ? "berth vm extension retry" : remedy);
}

std::string tailOf(const std::string& text) {
  return text.size() <= kKeptOutput ? text : text.substr(text.size() - kKeptOutput);
}

/// "0x10de"
std::optional<std::uint16_t> hexId(std::string_view text) {
  if (!text.starts_with("0x")) return std::nullopt;
  text.remove_prefix(2);
  std::uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The file's bytes, a chunk each time.
class FileReader {
 public:
  static Result<FileReader> open(const fs::path& file) {
    os::UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return fail(errnoError(errno, "open", file.string()));
    return FileReader(std::move(fd), file.string());
  }

  Result<std::string> next() {
    std::string bytes(kAgentWriteChunk, '\0');
    ssize_t got = 0;
    do {
      got = ::read(fd_.get(), bytes.data(), bytes.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) return fail(errnoError(errno, "read", name_));
    bytes.resize(static_cast<std::size_t>(got));
    return bytes;
  }

 private:
  FileReader(os::UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  os::UniqueFd fd_;
  std::string name_;
};

const Bundle* installedBundle(const Job& job) {
  if (!job.record.outcome || job.record.outcome->bundle.empty()) return nullptr;
  const auto found = std::ranges::find_if(job.offer.bundles, [&](const Bundle& bundle) {
    return bundle.type == job.record.request.type && bundle.version == job.record.outcome->bundle;
  });
  return found == job.offer.bundles.end() || found->remove.empty() ? nullptr : &*found;
}

std::vector<std::string> bundleCommand(const Bundle& bundle) {
  std::vector<std::string> words{"bundle", bundle.install};
  words.insert(words.end(), bundle.arguments.begin(), bundle.arguments.end());
  return words;
}

}  // namespace

std::string GuestReport::value(const std::string& key) const {
  const auto found = values.find(key);
  return found == values.end() ? std::string() : found->second;
}

GuestReport parseReport(std::string_view text) {
  GuestReport report;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line == "log:") {
      report.log = text;
      return report;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    report.values.emplace(std::string(line.substr(0, equals)), std::string(line.substr(equals + 1)));
  }
  return report;
}

bool seesGpu(const GuestReport& inspected, const std::vector<gpu::PciId>& also) {
  const auto [first, last] = inspected.values.equal_range("gpu");
  return std::any_of(first, last, [&](const auto& entry) {
    const std::vector<std::string> parts = split(entry.second, ':');
    if (parts.size() != 3) return false;
    const auto vendor = hexId(parts[0]);
    const auto device = hexId(parts[1]);
    if (!vendor || !device) return false;
    const gpu::PciId id{*vendor, *device};
    const bool display = parts[2].starts_with("0x03");
    return (id.vendor == kNvidia && display) || std::ranges::find(also, id) != also.end();
  });
}

std::string attemptFolder(const Record& record) {
  const GuestOs os = handlerOs(record.request);
  return inFolder(os, folderOf(os), toLower(record.request.name) + "-" + std::to_string(record.attempt));
}

Result<GuestReport> Installer::call(GuestOs os, const std::vector<std::string>& arguments,
                                    Deadline deadline) {
  std::vector<std::string> argv = interpreter(os);
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const Deadline soon = std::min(deadline, std::chrono::steady_clock::now() + kCallTime);
  TRY(const GuestExit done, agent_.exec(argv, "", soon));
  if (done.code == 0 && done.signal == 0) return parseReport(done.output);
  return fail(ErrorCode::Conflict, "the guest refused \"" + arguments.front() +
                                       "\": " + std::string(trim(tailOf(done.output + done.errors))));
}

Result<void> Installer::putScript(GuestOs os, Deadline deadline) {
  TRY(const GuestExit made, agent_.exec(makeFolder(os, folderOf(os)), "", deadline));
  if (made.code != 0)
    return fail(ErrorCode::Conflict, "the guest makes no folder " + std::string(folderOf(os)));
  return agent_.writeFile(scriptPath(os), os == GuestOs::Windows ? kWindowsScript : kLinuxScript, deadline);
}

Result<GuestReport> Installer::inspect(const Job& job, Deadline deadline) {
  const GuestOs os = handlerOs(job.record.request);
  TRY(GuestReport report, call(os, {"inspect"}, deadline));
  if (seesGpu(report, job.also_gpus)) return report;
  return fail(
      Error{ErrorCode::Refused,
            "the guest sees no NVIDIA GPU",
            kNoGpu,
            {{"guest", "sees no NVIDIA GPU", "stop the VM and start it again, so that it gets its GPU"}}});
}

Result<Choice> Installer::chooseFor(const Job& job, Deadline deadline) {
  TRY(const std::string answer, agent_.osInfo(deadline));
  TRY(const OsInfo os, parseOsInfo(answer));
  return choose(job.record.request, job.settings, os, job.offer);
}

Result<void> Installer::copyBundle(const Bundle& bundle, const std::string& folder, const Progress& progress,
                                   Deadline deadline) {
  TRY_VOID(verifyFiles(runner_, bundle, deadline));
  const GuestOs os = bundle.type == kWindowsType ? GuestOs::Windows : GuestOs::Linux;
  std::vector<std::string> names{kChecksumFile};
  for (const Checksum& sum : bundle.files) names.push_back(sum.file);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const int span = kPercentInstalling - kPercentCopying;
    progress(kPercentCopying + span * static_cast<int>(i) / static_cast<int>(names.size()),
             "copying " + names[i] + " into the guest");
    TRY(FileReader reader, FileReader::open(bundle.folder / names[i]));
    TRY_VOID(agent_.writeFile(inFolder(os, folder, names[i]), [&] { return reader.next(); }, deadline));
  }
  TRY(const GuestReport checked, call(os, {"check", folder}, deadline));
  return {};
}

/// Puts into the attempt's folder what the installation needs and returns the command that does it.
Result<std::vector<std::string>> Installer::deliver(const Choice& choice, const Job& job,
                                                    const Progress& progress, Deadline deadline) {
  const GuestOs os = handlerOs(job.record.request);
  const std::string folder = attemptFolder(job.record);
  TRY(const GuestExit made, agent_.exec(makeFolder(os, folder), "", deadline));
  if (made.code != 0) return fail(ErrorCode::Conflict, "the guest makes no folder " + folder);
  if (const auto* bundle = std::get_if<Bundle>(&choice.source)) {
    TRY_VOID(copyBundle(*bundle, folder, progress, deadline));
    return bundleCommand(*bundle);
  }
  if (const auto* download = std::get_if<DownloadSource>(&choice.source)) {
    std::vector<std::string> words{"download", download->url};
    if (!download->certificate_url.empty()) words.push_back(download->certificate_url);
    return words;
  }
  const auto& repository = std::get<RepositorySource>(choice.source);
  return std::vector<std::string>{"repository", repository.url, repository.pin_url, repository.dkms_url};
}

/// Until the installer has ended. The guest may restart meanwhile, and its agent be away for a time.
Result<Installer::Ended> Installer::await(GuestOs os, const std::string& folder, Deadline deadline) {
  for (;;) {
    const Result<GuestReport> report = call(os, {"status", folder}, deadline);
    if (!report && report.error().reason != "AgentUnavailable") return fail(report.error());
    const std::string state = report ? report->value("state") : "running";
    if (state == "exited") {
      const std::string code = report->value("code");
      const bool negative = code.starts_with('-');
      const auto number = parseWholeNumber(std::string_view(code).substr(negative ? 1 : 0));
      if (!number || *number > INT32_MAX) return fail(ErrorCode::Corrupt, "the guest tells no exit code");
      return Ended{static_cast<int>(negative ? -*number : *number), report->log};
    }
    if (state != "running") {
      return fail(ErrorCode::Conflict,
                  "the guest restarted, or the installer was killed, in the middle of it");
    }
    if (std::chrono::steady_clock::now() + pause_ >= deadline) {
      return fail(ErrorCode::Timeout, "the installation did not finish in time");
    }
    std::this_thread::sleep_for(pause_);
  }
}

Result<Outcome> Installer::conclude(const Job& job, const Ended& ended, const Choice& choice,
                                    Deadline deadline) {
  const GuestOs os = handlerOs(job.record.request);
  Outcome outcome;
  outcome.code = documentedCode(ended.code, os);
  outcome.output = tailOf(ended.log);
  outcome.warnings = choice.warnings;
  if (!succeeded(outcome, os)) {
    Cause cause = explain(ended.code, ended.log, os);
    outcome.message = std::move(cause.message);
    outcome.remedy = std::move(cause.remedy);
    return outcome;
  }
  outcome.reboot = os == GuestOs::Windows && outcome.code == kWindowsReboot;
  if (const auto* bundle = std::get_if<Bundle>(&choice.source)) outcome.bundle = bundle->version;
  TRY(const GuestReport version, call(os, {"version"}, deadline));
  outcome.driver_version = version.value("version");
  if (outcome.driver_version.empty()) outcome.driver_version = choice.version;
  outcome.message =
      "driver " +
      (outcome.driver_version.empty() ? std::string("of unknown version") : outcome.driver_version) +
      " is installed" + (outcome.reboot ? "; the guest must restart to use it" : "");
  return outcome;
}

/// Where the appliance's extension would have written its status. The installation stands whether this works
/// or not.
void Installer::note(const Job& job, const Outcome& outcome, Deadline deadline) {
  const GuestOs os = handlerOs(job.record.request);
  const char* const state = succeeded(outcome, os) ? "success" : "error";
  static_cast<void>(call(os, {"note", state, std::to_string(outcome.code), outcome.message}, deadline));
}

Result<Outcome> Installer::installOrFail(const Job& job, const Progress& progress, Deadline deadline) {
  const GuestOs os = handlerOs(job.record.request);
  const std::string folder = attemptFolder(job.record);
  progress(kPercentWaiting, "waiting for the guest's agent");
  TRY_VOID(agent_.waitReady(std::min(deadline, std::chrono::steady_clock::now() + kReadyTime)));
  TRY_VOID(putScript(os, deadline));
  TRY(const GuestReport before, call(os, {"status", folder}, deadline));
  TRY(const GuestReport inspected, inspect(job, deadline));
  TRY(Choice choice, chooseFor(job, deadline));
  if (inspected.value("secureboot") == "1") {
    choice.warnings.emplace_back("the guest has Secure Boot on, which keeps unsigned drivers from loading");
  }
  const std::string state = before.value("state");
  if (state == "none") {
    TRY(std::vector<std::string> command, deliver(choice, job, progress, deadline));
    command.insert(command.begin(), {"start", folder});
    TRY(const GuestReport started, call(os, command, deadline));
  }
  progress(kPercentInstalling, "installing the driver");
  TRY(const Ended ended, await(os, folder, deadline));
  progress(kPercentChecking, "asking the guest for its driver");
  return conclude(job, ended, choice, deadline);
}

Result<Outcome> Installer::install(const Job& job, const Progress& progress, Deadline deadline) {
  const GuestOs os = handlerOs(job.record.request);
  Result<Outcome> done = installOrFail(job, progress, deadline);
  if (!done && isPassing(done.error())) return done;
  if (!done && done.error().reason == kNoGpu) {
    const int code = os == GuestOs::Windows ? kWindowsFailed : kLinuxNoGpu;
    done = failure(code, done.error().message, done.error().details.front().remedy);
  }
  if (!done) done = outcomeOf(done.error(), os);
  note(job, *done, deadline);
  return done;
}

/// Runs the bundle's removal program as an attempt of its own.
Result<Outcome> Installer::runRemover(const Job& job, Bundle bundle, const Progress& progress,
                                      Deadline deadline) {
  const GuestOs os = handlerOs(job.record.request);
  const std::string folder = attemptFolder(job.record);
  bundle.install = bundle.remove;
  bundle.arguments.clear();
  const Choice choice{bundle, bundle.version, {}};
  TRY(const GuestReport before, call(os, {"status", folder}, deadline));
  if (before.value("state") == "none") {
    TRY(std::vector<std::string> command, deliver(choice, job, progress, deadline));
    command.insert(command.begin(), {"start", folder});
    TRY(const GuestReport started, call(os, command, deadline));
  }
  progress(kPercentInstalling, "removing the driver");
  TRY(const Ended ended, await(os, folder, deadline));
  Outcome outcome;
  outcome.code = documentedCode(ended.code, os);
  outcome.output = tailOf(ended.log);
  if (succeeded(outcome, os)) {
    outcome.message = "driver " + bundle.version + " was removed from the guest";
    return outcome;
  }
  Cause cause = explain(ended.code, ended.log, os);
  outcome.message = std::move(cause.message);
  outcome.remedy = std::move(cause.remedy);
  return outcome;
}

Result<Outcome> Installer::removeOrFail(const Job& job, const Progress& progress, Deadline deadline) {
  const GuestOs os = handlerOs(job.record.request);
  progress(kPercentWaiting, "waiting for the guest's agent");
  TRY_VOID(agent_.waitReady(std::min(deadline, std::chrono::steady_clock::now() + kReadyTime)));
  TRY_VOID(putScript(os, deadline));
  Outcome outcome;
  outcome.message = "the driver stays in the guest: it brought no program that removes it";
  if (const Bundle* bundle = installedBundle(job)) {
    TRY(outcome, runRemover(job, *bundle, progress, deadline));
    if (!succeeded(outcome, os)) return outcome;
  }
  TRY(const GuestReport forgotten, call(os, {"forget", folderOf(os)}, deadline));
  return outcome;
}

Result<Outcome> Installer::remove(const Job& job, const Progress& progress, Deadline deadline) {
  Result<Outcome> done = removeOrFail(job, progress, deadline);
  if (done || isPassing(done.error())) return done;
  return outcomeOf(done.error(), handlerOs(job.record.request));
}

}  // namespace berth::vm::extension
