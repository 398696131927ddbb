#include "service/extension_service.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include <boost/json.hpp>

#include "base/log.h"
#include "base/text.h"
#include "os/files.h"
#include "vm/extension/bundle.h"
#include "vm/extension/catalog.h"
#include "vm/guest_agent.h"

namespace berth::service {
namespace {

namespace json = boost::json;
namespace extension = vm::extension;
using extension::State;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr minutes kAttemptTime{40};
constexpr seconds kNotNow{10};
constexpr std::size_t kMaxCatalog = std::size_t{4} << 20;

std::string noteKey(const std::string& vm) { return "extensions." + vm; }

auto unknown(const std::string& vm, const std::string& name) {
  return fail(Error{ErrorCode::NotFound, "VM " + vm + " has no extension " + name, "UnknownExtension", {}});
}

bool isWaiting(const extension::Record& record) {
  return record.state == State::Creating || record.state == State::Deleting;
}

auto named(std::vector<extension::Record>& records, const std::string& name) {
  return std::ranges::find_if(records,
                              [&](const extension::Record& each) { return each.request.name == name; });
}

/// {"vm": UUID, "extensions": [...]}: a new VM under an old name has none of the old one's.
std::string noteOf(const VmRecord& vm, const std::vector<extension::Record>& records) {
  json::array list;
  for (const extension::Record& record : records) list.emplace_back(extension::toJson(record));
  return json::serialize(json::object{{"vm", vm.uuid}, {"extensions", std::move(list)}});
}

Result<std::vector<extension::Record>> recordsIn(const std::string& text, const VmRecord& vm) {
  boost::json::error_code error;
  const json::value note = json::parse(text, error);
  const json::object* const object = error ? nullptr : note.if_object();
  const json::value* const uuid = object == nullptr ? nullptr : object->if_contains("vm");
  const json::value* const list = object == nullptr ? nullptr : object->if_contains("extensions");
  if (uuid == nullptr || !uuid->is_string() || list == nullptr || !list->is_array()) {
    return fail(ErrorCode::Corrupt, "the ledger's note of VM " + vm.name + "'s extensions is damaged");
  }
  std::vector<extension::Record> records;
  if (std::string_view(uuid->get_string()) != vm.uuid) return records;
  for (const json::value& each : list->get_array()) {
    if (!each.is_string()) return fail(ErrorCode::Corrupt, "an extension of VM " + vm.name + " is no text");
    TRY(extension::Record record, extension::recordFromJson(std::string(each.get_string())));
    records.push_back(std::move(record));
  }
  return records;
}

Result<extension::Catalog> readCatalog(const std::filesystem::path& file) {
  TRY(const std::string text, os::readFile(file, kMaxCatalog));
  return extension::parseCatalog(text, file.string());
}

}  // namespace

Result<std::shared_ptr<const VmRecord>> ExtensionService::vmOf(const std::string& name) const {
  const std::shared_ptr<const Book> book = parts_.desk.book();
  const auto found = book->vms.find(name);
  if (found != book->vms.end() && found->second->desired != VmDesired::Deleted) return found->second;
  return fail(Error{ErrorCode::NotFound, "there is no VM " + name, "UnknownVm", {}});
}

Result<ExtensionService::Records> ExtensionService::load(const VmRecord& vm) const {
  TRY(const std::optional<std::string> note, parts_.desk.note(noteKey(vm.name)));
  if (!note) return Records{};
  return recordsIn(*note, vm);
}

Result<void> ExtensionService::save(const VmRecord& vm, const Records& records) {
  return parts_.desk.putNote(noteKey(vm.name), records.empty() ? std::string() : noteOf(vm, records));
}

Result<std::vector<ExtensionView>> ExtensionService::list(const std::string& vm) const {
  TRY(const std::shared_ptr<const VmRecord> record, vmOf(vm));
  TRY(const Records records, load(*record));
  std::vector<ExtensionView> views;
  for (const Record& each : records) {
    const Step step = steps_.with([&](const auto& steps) {
      const auto found = steps.find(vm + "/" + each.request.name);
      return found == steps.end() ? Step{} : found->second;
    });
    views.push_back({each, step.percent, step.message});
  }
  return views;
}

Result<ExtensionView> ExtensionService::put(const std::string& vm, extension::Request request) {
  TRY(const std::shared_ptr<const VmRecord> owner, vmOf(vm));
  if (request.type.empty()) {
    request.type = owner->asked.os == vm::GuestOs::Windows ? extension::kWindowsType : extension::kLinuxType;
  }
  const extension::Target target{vm::VmName(vm), owner->asked.os, owner->asked.size.gpus};
  TRY(const extension::Settings settings, extension::check(request, target));
  const std::scoped_lock lock(changing_);
  TRY(Records records, load(*owner));
  const auto same = named(records, request.name);
  if (same != records.end() && same->request == request && same->state != State::Deleting) {
    return ExtensionView{*same, 0, {}};
  }
  const auto other = std::ranges::find_if(records, [&](const Record& each) {
    return each.request.type == request.type && each.request.name != request.name;
  });
  if (other != records.end()) {
    return fail(ErrorCode::Conflict, "VM " + vm + " has extension " + other->request.name + " of type " +
                                         request.type + " already");
  }
  Record record = extension::begin(request);
  if (same != records.end()) {
    TRY(record, extension::update(*same, std::move(request)));
    *same = record;
  } else {
    records.push_back(record);
  }
  TRY_VOID(save(*owner, records));
  parts_.again(vm, steady_clock::now());
  return ExtensionView{record, 0, {}};
}

Result<ExtensionView> ExtensionService::change(const std::string& vm, const std::string& name,
                                               const std::function<Result<Record>(const Record&)>& change) {
  TRY(const std::shared_ptr<const VmRecord> owner, vmOf(vm));
  const std::scoped_lock lock(changing_);
  TRY(Records records, load(*owner));
  const auto found = named(records, name);
  if (found == records.end()) return unknown(vm, name);
  TRY(*found, change(*found));
  TRY_VOID(save(*owner, records));
  parts_.again(vm, steady_clock::now());
  return ExtensionView{*found, 0, {}};
}

Result<ExtensionView> ExtensionService::retry(const std::string& vm, const std::string& name) {
  return change(vm, name, extension::retry);
}

Result<ExtensionView> ExtensionService::remove(const std::string& vm, const std::string& name) {
  return change(vm, name, extension::remove);
}

/// A folder that is not there offers nothing; a bundle or catalogue that is damaged is passed over with a
/// word.
extension::Offer ExtensionService::offer() const {
  extension::Offer offer;
  extension::Shelf shelf = extension::readShelf(parts_.drivers);
  offer.bundles = std::move(shelf.bundles);
  std::error_code error;
  for (std::filesystem::directory_iterator entry(parts_.drivers, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() != ".json") continue;
    if (Result<extension::Catalog> catalog = readCatalog(entry->path())) {
      offer.catalogs.push_back(*std::move(catalog));
    } else {
      shelf.problems.push_back(std::move(catalog).error());
    }
  }
  for (const Error& problem : shelf.problems) {
    log(LogLevel::Warning, "a driver is not offered", {{"why", problem.message}});
  }
  return offer;
}

/// What the attempt that was worked on came to, unless the VM or the extension went away meanwhile.
Result<void> ExtensionService::conclude(const VmRecord& vm, const Record& record,
                                        extension::Outcome outcome) {
  const std::scoped_lock lock(changing_);
  TRY(Records records, load(vm));
  const auto found = named(records, record.request.name);
  if (found == records.end() || found->attempt != record.attempt) return {};
  const bool gone = record.state == State::Deleting && extension::succeeded(outcome, vm.asked.os);
  const std::string message = outcome.message;
  if (gone) {
    records.erase(found);
  } else {
    *found = extension::finish(*found, std::move(outcome));
  }
  TRY_VOID(save(vm, records));
  return parts_.desk.change([&](Draft& draft) -> Result<void> {
    draft.event("vm.extension", vm.name, record.request.name + ": " + message);
    return {};
  });
}

Result<void> ExtensionService::work(const VmRecord& vm, const Record& record) {
  const std::string key = vm.name + "/" + record.request.name;
  extension::Job job{record, {}, parts_.also_gpus, offer()};
  TRY(job.settings, extension::parseSettings(record.request.settings));
  vm::GuestAgent agent(parts_.hypervisor, vm::VmName(vm.name), parts_.stop);
  extension::Installer installer(agent, parts_.runner, parts_.pause);
  const extension::Progress progress = [&](int percent, const std::string& message) {
    steps_.with([&](auto& steps) { steps[key] = {percent, message}; });
  };
  const vm::Deadline deadline = steady_clock::now() + kAttemptTime;
  Result<extension::Outcome> outcome = record.state == State::Deleting
                                           ? installer.remove(job, progress, deadline)
                                           : installer.install(job, progress, deadline);
  steps_.with([&](auto& steps) { steps.erase(key); });
  if (!outcome) return fail(std::move(outcome).error());
  for (const std::string& unused : job.settings.unused) {
    outcome->warnings.push_back("setting " + unused + " has no effect here");
  }
  return conclude(vm, record, *std::move(outcome));
}

void ExtensionService::tend(const std::string& name) {
  const Result<std::shared_ptr<const VmRecord>> vm = vmOf(name);
  if (!vm) return;
  const Result<Records> records = load(**vm);
  if (!records) return log(LogLevel::Error, "extensions cannot be read", {{"why", records.error().message}});
  for (const Record& record : *records) {
    if (!isWaiting(record)) continue;
    if ((*vm)->power != vm::PowerState::Running) return parts_.again(name, steady_clock::now() + kNotNow);
    if (const Result<void> worked = work(**vm, record); !worked) {
      log(LogLevel::Warning, "an extension is gone on with later",
          {{"vm", name}, {"why", worked.error().message}});
      return parts_.again(name, steady_clock::now() + kNotNow);
    }
  }
}

}  // namespace berth::service
