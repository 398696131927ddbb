#include "vm/extension/request.h"

#include <algorithm>
#include <array>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "base/text.h"
#include "vm/json.h"

namespace berth::vm::extension {
namespace {

namespace json = boost::json;

constexpr std::array<std::pair<State, std::string_view>, 4> kStates{{
    {State::Creating, "Creating"},
    {State::Succeeded, "Succeeded"},
    {State::Failed, "Failed"},
    {State::Deleting, "Deleting"},
}};

constexpr std::int64_t kMaxAttempt = std::int64_t{1} << 40;

Error badSetting(std::string_view key, std::string_view what) {
  return {ErrorCode::InvalidArgument, "settings." + std::string(key) + ": " + std::string(what), {}, {}};
}

/// The appliance's own files write flags both ways: true and "true".
std::optional<bool> flagOf(const json::value& value) {
  if (const bool* flag = value.if_bool()) return *flag;
  if (!value.is_string()) return std::nullopt;
  const std::string text = toLower(std::string_view(value.get_string()));
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

bool isUrl(std::string_view text) {
  const bool scheme = text.starts_with("https://") || text.starts_with("http://");
  // What follows becomes an argument of a program in the guest; blanks and control characters are in no URL.
  return scheme && text.size() <= 2048 &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

Result<void> setUrl(std::string& into, std::string_view key, const json::value& value) {
  if (!value.is_string() || !isUrl(std::string_view(value.get_string()))) {
    return fail(badSetting(key, "is not an http or https URL"));
  }
  into = std::string(value.get_string());
  return {};
}

Result<void> setText(std::string& into, std::string_view key, const json::value& value) {
  if (!value.is_string()) return fail(badSetting(key, "is not text"));
  into = std::string(value.get_string());
  return {};
}

Result<void> setGrid(Settings& settings, std::string_view key, const json::value& value) {
  const std::optional<bool> flag = flagOf(value);
  if (!flag) return fail(badSetting(key, "is not true or false"));
  if (*flag) settings.category = "GRID";
  return {};
}

Result<void> setCategory(Settings& settings, std::string_view key, const json::value& value) {
  TRY_VOID(setText(settings.category, key, value));
  if (settings.category == "CUDA" || settings.category == "GRID") return {};
  return fail(badSetting(key, "is neither CUDA nor GRID"));
}

Result<void> apply(Settings& settings, std::string_view key, const json::value& value) {
  const std::string lower = toLower(key);
  if (lower == "driver_url" || lower == "driverurl") return setUrl(settings.driver_url, key, value);
  if (lower == "drivercertificateurl") return setUrl(settings.certificate_url, key, value);
  if (lower == "driverversion") return setText(settings.driver_version, key, value);
  if (lower == "drivertype") return setCategory(settings, key, value);
  if (lower == "installgridnc" || lower == "installgridnd") return setGrid(settings, key, value);
  settings.unused.emplace_back(key);
  return {};
}

Error otherOs(const Request& request, const Target& target) {
  const std::string right = target.os == GuestOs::Windows ? kWindowsType : kLinuxType;
  const std::string message = request.type + " is for the other operating system: VM " + target.vm.value +
                              " runs " + (target.os == GuestOs::Windows ? "Windows" : "Linux");
  return {ErrorCode::Refused, message, kOtherOs, {{target.vm.value, message, "use " + right}}};
}

Error noGpu(const Target& target) {
  const std::string message = "VM " + target.vm.value + " has no GPU";
  return {ErrorCode::Refused,
          message + ", so there is nothing to install a driver for",
          kNoGpu,
          {{target.vm.value, message, "berth vm resize " + target.vm.value + " to a size with a GPU"}}};
}

bool isBusy(const Record& record) {
  return record.state == State::Creating || record.state == State::Deleting;
}

auto busy(const Record& record) {
  const char* const doing = record.state == State::Creating ? "being installed" : "being removed";
  return fail(ErrorCode::Conflict, "extension " + record.request.name + " is " + doing);
}

json::value outcomeJson(const std::optional<Outcome>& outcome) {
  if (!outcome) return nullptr;
  return json::object{{"code", outcome->code},
                      {"reboot", outcome->reboot},
                      {"message", outcome->message},
                      {"remedy", outcome->remedy},
                      {"output", outcome->output},
                      {"driverVersion", outcome->driver_version},
                      {"bundle", outcome->bundle},
                      {"warnings", json::array(outcome->warnings.begin(), outcome->warnings.end())}};
}

Result<std::optional<Outcome>> outcomeFrom(const json::value& value) {
  if (value.is_null()) return std::optional<Outcome>();
  FieldReader fields(value, "extension.outcome");
  Outcome outcome;
  outcome.code = static_cast<int>(fields.number("code", INT32_MIN, INT32_MAX));
  outcome.reboot = fields.flagOr("reboot", false);
  outcome.message = fields.text("message");
  outcome.remedy = fields.text("remedy");
  outcome.output = fields.text("output");
  outcome.driver_version = fields.text("driverVersion");
  outcome.bundle = fields.text("bundle");
  const json::value* const warnings = fields.child("warnings");
  TRY_VOID(fields.finish());
  if (!warnings->is_array()) return fail(ErrorCode::Corrupt, "extension.outcome.warnings: is not a list");
  for (const json::value& warning : warnings->get_array()) {
    if (!warning.is_string()) return fail(ErrorCode::Corrupt, "extension.outcome.warnings: holds no text");
    outcome.warnings.emplace_back(warning.get_string());
  }
  return std::optional<Outcome>(std::move(outcome));
}

}  // namespace

Result<Settings> parseSettings(std::string_view json_text) {
  Settings settings;
  if (trim(json_text).empty()) return settings;
  if (json_text.size() > kMaxSettings) return fail(ErrorCode::InvalidArgument, "settings: more than 64 KiB");
  TRY(const json::value value, parseJson(json_text, "settings"));
  const json::object* object = value.if_object();
  if (object == nullptr) return fail(ErrorCode::InvalidArgument, "settings: is not an object");
  for (const auto& field : *object) TRY_VOID(apply(settings, field.key(), field.value()));
  return settings;
}

Result<Settings> check(const Request& request, const Target& target) {
  if (!isDnsName(toLower(request.name))) {
    return fail(ErrorCode::InvalidArgument, "\"" + request.name + "\" is no name for an extension");
  }
  if (request.publisher != kPublisher) {
    return fail(ErrorCode::InvalidArgument,
                "publisher " + request.publisher + " is unknown; use " + kPublisher);
  }
  if (request.type != kLinuxType && request.type != kWindowsType) {
    return fail(ErrorCode::InvalidArgument, "extension type " + request.type + " is unknown; there are " +
                                                kLinuxType + " and " + kWindowsType);
  }
  TRY(Settings settings, parseSettings(request.settings));
  if (handlerOs(request) != target.os) return fail(otherOs(request, target));
  if (target.gpus == 0) return fail(noGpu(target));
  return settings;
}

GuestOs handlerOs(const Request& request) {
  return request.type == kWindowsType ? GuestOs::Windows : GuestOs::Linux;
}

std::string_view name(State state) {
  return std::ranges::find(kStates, state, &std::pair<State, std::string_view>::first)->second;
}

bool succeeded(const Outcome& outcome, GuestOs os) {
  return outcome.code == kDone || (os == GuestOs::Windows && outcome.code == kWindowsReboot);
}

Record begin(Request request) { return {std::move(request), State::Creating, 1, std::nullopt}; }

Result<Record> retry(const Record& record) {
  if (isBusy(record)) return busy(record);
  if (record.state == State::Succeeded) {
    return fail(ErrorCode::Conflict,
                "extension " + record.request.name + " is installed; there is nothing to retry");
  }
  Record again = record;
  again.state = State::Creating;
  ++again.attempt;
  return again;
}

Result<Record> update(const Record& record, Request request) {
  if (isBusy(record)) return busy(record);
  if (request.type != record.request.type) {
    return fail(ErrorCode::InvalidArgument, "extension " + record.request.name + " is of type " +
                                                record.request.type +
                                                "; remove it before adding another type");
  }
  Record again = record;
  again.request = std::move(request);
  again.state = State::Creating;
  ++again.attempt;
  return again;
}

Result<Record> remove(const Record& record) {
  if (record.state == State::Deleting) return busy(record);
  Record going = record;
  going.state = State::Deleting;
  ++going.attempt;
  return going;
}

Record finish(Record record, Outcome outcome) {
  record.state = succeeded(outcome, handlerOs(record.request)) ? State::Succeeded : State::Failed;
  record.outcome = std::move(outcome);
  return record;
}

std::string toJson(const Record& record) {
  return json::serialize(json::object{{"name", record.request.name},
                                      {"publisher", record.request.publisher},
                                      {"type", record.request.type},
                                      {"version", record.request.version},
                                      {"settings", record.request.settings},
                                      {"state", name(record.state)},
                                      {"attempt", record.attempt},
                                      {"outcome", outcomeJson(record.outcome)}});
}

Result<Record> recordFromJson(std::string_view text) {
  TRY(const json::value value, parseJson(text, "extension"));
  FieldReader fields(value, "extension");
  Record record;
  record.request = {fields.text("name"), fields.text("publisher"), fields.text("type"),
                    fields.text("version"), fields.text("settings")};
  const std::string state = fields.text("state");
  record.attempt = fields.number("attempt", 1, kMaxAttempt);
  const json::value* const outcome = fields.child("outcome");
  TRY_VOID(fields.finish());
  const auto* const known =
      std::ranges::find(kStates, std::string_view(state), &std::pair<State, std::string_view>::second);
  if (known == kStates.end()) return fail(ErrorCode::Corrupt, "extension.state: " + state + " is unknown");
  record.state = known->first;
  TRY(record.outcome, outcomeFrom(*outcome));
  return record;
}

}  // namespace berth::vm::extension
