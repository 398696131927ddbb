#include "cli/session.h"

#include <algorithm>
#include <utility>

#include <boost/json.hpp>

#include "cli/appliance_text.h"
#include "cli/json_fields.h"
#include "cli/json_text.h"
#include "cli/render.h"
#include "cli/server_sent_events.h"
#include "cli/vm_console.h"
#include "cli/vm_render.h"

namespace berth::cli {
namespace {

namespace json = boost::json;
using http::ExitStatus;

constexpr std::size_t kEventPage = 1000;

std::string socketOf(const Arguments& args, const Surroundings& around) {
  if (!args.socket.empty()) return args.socket;
  const std::optional<std::string> named = around.environment("BERTH_SOCKET");
  return named && !named->empty() ? *named : kDefaultSocket;
}

http::Deadline deadlineOf(const Arguments& args) {
  if (!args.timeout_seconds) return http::kNoDeadline;
  return std::chrono::steady_clock::now() + std::chrono::seconds(*args.timeout_seconds);
}

TextStyle styleOf(const Arguments& args, const Surroundings& around) {
  if (!around.out_is_terminal) return {};
  const bool asked_not_to = args.no_color || !around.environment("NO_COLOR").value_or("").empty();
  return {around.width, !asked_not_to};
}

std::string remedyText(const std::string& remedy) {
  if (remedy.rfind("berth gpu ", 0) == 0) return " - see: " + remedy;
  if (remedy.rfind("berth vm extension ", 0) == 0) return " - try: " + remedy;
  if (remedy.rfind("berth ", 0) == 0) return " - free it with: " + remedy;
  return remedy.empty() ? "" : " - " + remedy;
}

}  // namespace

ExitStatus printError(std::ostream& err, const Error& error) {
  err << "berth: " << printable(error.message) << "\n";
  for (const ErrorDetail& detail : error.details) {
    const std::string target = detail.target.empty() ? "" : detail.target + ": ";
    err << "  " << printable(target + detail.message + remedyText(detail.remedy)) << "\n";
  }
  return http::exitStatus(error.code);
}

Session::Session(Arguments args, std::vector<InputFile> files, const Surroundings& surroundings)
    : args_(std::move(args)),
      files_(std::move(files)),
      around_(surroundings),
      style_(styleOf(args_, around_)),
      api_(socketOf(args_, around_), around_.watchInterrupts(), deadlineOf(args_)),
      progress_(around_.err, around_.err_is_terminal, around_.width) {}

ExitStatus Session::run() {
  if (isChange(args_.verb)) return change();
  switch (args_.verb) {
    case Verb::WorkloadLogs:
      return logs();
    case Verb::Events:
      return events();
    case Verb::OperationWait:
      return waitForOperation();
    case Verb::SimFault:
      return injectFault();
    case Verb::HcsStartMps:
    case Verb::HcsStopMps:
      return switchMpsAsTheAppliance();
    case Verb::HcsNvidiaSmi:
      return nvidiaSmi();
    case Verb::SizeAdd:
    case Verb::SizeRemove:
      return changeSizes();
    case Verb::HcsGetCustomSizes:
    case Verb::HcsSetCustomSizes:
      return customSizes();
    case Verb::VmConsole:
      return console();
    case Verb::VmExtensionAdd:
    case Verb::VmExtensionRetry:
    case Verb::VmExtensionRemove:
      return changeExtension();
    default:
      return look();
  }
}

ExitStatus Session::failed(const Error& error) {
  progress_.clear();
  if (isStopped(error)) return ExitStatus::Failed;
  return printError(around_.err, error);
}

void Session::printValue(const json::value& value) {
  if (files_.size() > 1) {
    gathered_.push_back(value);
    return;
  }
  around_.out << (args_.output == Output::Json ? prettyJson(value) : yamlText(value));
}

// Each once: the plan's warnings are the operation's too.
void Session::warn(const json::value& holder) {
  for (const json::value& each : list(holder, "warnings")) {
    const std::string warning = text(each, "");
    if (std::find(warned_.begin(), warned_.end(), warning) != warned_.end()) continue;
    progress_.clear();
    around_.err << "warning: " << warning << "\n";
    warned_.push_back(warning);
  }
}

ExitStatus Session::look() {
  const Result<json::value> answer =
      api_.call(requestFor(args_, files_.empty() ? InputFile{} : files_.front()));
  if (!answer) return failed(answer.error());
  if (!isTable()) {
    printValue(*answer);
  } else {
    around_.out << renderAnswer(args_.verb, *answer, style_);
  }
  return ExitStatus::Done;
}

// One request for each file, in order, until one does not succeed.
ExitStatus Session::change() {
  const bool by_file = args_.verb == Verb::Apply || args_.verb == Verb::Delete;
  const std::vector<InputFile> inputs = by_file ? files_ : std::vector<InputFile>(1);
  ExitStatus status = ExitStatus::Done;
  for (const InputFile& file : inputs) {
    const Result<json::value> answer = api_.call(requestFor(args_, file));
    status = !answer ? failed(answer.error()) : args_.dry_run ? planned(*answer, file) : accepted(*answer);
    if (status != ExitStatus::Done) break;
  }
  if (!isTable() && files_.size() > 1) {
    around_.out << (args_.output == Output::Json ? prettyJson(gathered_) : yamlText(gathered_));
  }
  return status;
}

ExitStatus Session::planned(const json::value& plan, const InputFile& file) {
  warn(plan);
  if (!isTable()) {
    printValue(plan);
    return ExitStatus::Done;
  }
  if (files_.size() > 1) around_.out << printable(file.name) << ":\n";
  around_.out << renderPlan(plan);
  return ExitStatus::Done;
}

ExitStatus Session::accepted(const json::value& answer) {
  const json::value& operation = at(answer, "operation");
  warn(at(answer, "plan"));
  warn(operation);
  if (!args_.no_wait) {
    if (isTable()) {
      for (const json::value& change : list(answer, "plan.changes")) around_.out << text(change, "") << "\n";
    }
    return follow(operation, true);
  }
  if (isTable()) {
    around_.out << text(operation, "id") << "\n";
  } else {
    printValue(operation);
  }
  return ExitStatus::Done;
}

ExitStatus Session::follow(const json::value& operation, bool show_result) {
  around_.out.flush();
  const Result<json::value> end = followOperation(api_, operation, around_.retry_pause, progress_);
  if (!end) return detached(end.error(), text(operation, "id"));
  progress_.clear();
  warn(*end);
  if (show_result && !isTable()) printValue(*end);
  if (text(*end, "state") == "failed") {
    const std::optional<Error> error = http::errorFromJson(at(*end, "error"));
    return failed(
        error ? *error
              : Error{ErrorCode::Internal, text(*end, "id") + " failed: " + text(*end, "message"), {}, {}});
  }
  if (show_result && isTable()) {
    const std::string message = text(*end, "message");
    around_.out << text(*end, "kind") << " " << text(*end, "subject") << ": "
                << (message.empty() ? "done" : message) << "\n";
  }
  return ExitStatus::Done;
}

// The operation goes on without us.
ExitStatus Session::detached(const Error& error, const std::string& id) {
  const bool goes_on = isStopped(error) || error.code == ErrorCode::Timeout;
  if (!goes_on) return failed(error);
  progress_.clear();
  around_.err << id << " goes on; follow it with: berth operation wait " << id << "\n";
  return ExitStatus::Failed;
}

ExitStatus Session::logs() {
  const Result<void> ended = api_.stream(requestFor(args_), [&](std::string_view bytes) {
    around_.out << bytes << std::flush;
    return around_.out.good();
  });
  if (!ended && isStopped(ended.error()) && args_.follow) return ExitStatus::Done;
  return ended ? ExitStatus::Done : failed(ended.error());
}

void Session::printEvents(const json::value& events) {
  for (const json::value& event : list(events, "")) {
    if (isTable()) {
      around_.out << renderEvent(event);
    } else if (args_.output == Output::Json) {
      around_.out << json::serialize(event) << "\n";
    } else {
      around_.out << "---\n" << yamlText(event);
    }
  }
  around_.out.flush();
}

// Page by page: one answer holds at most kEventPage events.
ExitStatus Session::events() {
  const bool as_one = !isTable() && !args_.follow;
  json::array all;
  bool none = true;
  for (;;) {
    const Result<json::value> page = api_.call(requestFor(args_));
    if (!page) return failed(page.error());
    const json::array& events = list(*page, "");
    none = none && events.empty();
    if (as_one) {
      all.insert(all.end(), events.begin(), events.end());
    } else {
      printEvents(*page);
    }
    const std::int64_t last = events.empty() ? args_.since : number(events.back(), "seq").value_or(0);
    const bool complete = events.size() < kEventPage || last <= args_.since;
    args_.since = std::max(args_.since, last);
    if (complete) break;
  }
  if (as_one) printValue(all);
  if (none && isTable() && !args_.follow) around_.out << "no events\n";
  return args_.follow ? followEvents(args_.since) : ExitStatus::Done;
}

ExitStatus Session::followEvents(std::int64_t since) {
  bool told = false;
  for (;;) {
    const std::int64_t before = since;
    const Result<void> ended = streamEvents(since);
    if (!ended && isStopped(ended.error())) return ExitStatus::Done;
    if (!ended && ended.error().reason != ApiClient::kUnreachable) return failed(ended.error());
    if (!around_.out.good()) return ExitStatus::Done;
    told = told && since == before;
    if (!told) around_.err << "berth: the stream ended; waiting for the daemon to go on\n";
    told = true;
    if (!pauseFor(around_.retry_pause, api_.stop())) return ExitStatus::Done;
  }
}

// `since` follows the events that were printed.
Result<void> Session::streamEvents(std::int64_t& since) {
  ServerSentEventParser parser;
  Result<void> parsed;
  TRY_VOID(api_.stream(eventStreamRequest(since), [&](std::string_view bytes) {
    const Result<std::vector<ServerSentEvent>> events = parser.add(bytes);
    if (!events) {
      parsed = fail(events.error());
      return false;
    }
    for (const ServerSentEvent& event : *events) {
      boost::system::error_code failed;
      const json::value value = json::parse(event.data, failed);
      if (failed) {
        parsed = fail(ErrorCode::Internal, "an event of the stream is not JSON: " + failed.message());
        return false;
      }
      printEvents(json::array{value});
      since = std::max(since, number(value, "seq").value_or(since));
    }
    return around_.out.good();
  }));
  return parsed;
}

ExitStatus Session::waitForOperation() {
  const Result<json::value> operation = api_.call(requestFor(args_));
  if (!operation) return failed(operation.error());
  return follow(*operation, true);
}

ExitStatus Session::injectFault() {
  const Result<json::value> answer = api_.call(requestFor(args_));
  if (!answer) return failed(answer.error());
  if (!isTable()) {
    printValue(*answer);
    return ExitStatus::Done;
  }
  around_.out << "GPU " << text(*answer, "gpu") << ": " << text(*answer, "fault");
  if (args_.fault_value) around_.out << " " << *args_.fault_value;
  around_.out << "\n";
  return ExitStatus::Done;
}

ExitStatus Session::switchMpsAsTheAppliance() {
  const Result<json::value> answer = api_.call(requestFor(args_));
  if (!answer) return failed(answer.error());
  const ExitStatus status = follow(at(*answer, "operation"), false);
  if (status != ExitStatus::Done) return status;
  const Result<json::value> mps = api_.call({"GET", "/api/v1/mps", {}, {}});
  if (!mps) return failed(mps.error());
  const bool on = args_.verb == Verb::HcsStartMps;
  around_.out << (on ? startMpsText(around_.host_name, *mps) : stopMpsText(around_.host_name, *mps));
  return ExitStatus::Done;
}

ExitStatus Session::nvidiaSmi() {
  const Result<json::value> status = api_.call(requestFor(args_));
  if (!status) return failed(status.error());
  around_.out << nvidiaSmiText(*status, around_.date);
  return ExitStatus::Done;
}

ExitStatus Session::changeSizes() {
  const Result<json::value> answer = api_.call(requestFor(args_));
  if (!answer) return failed(answer.error());
  if (!isTable()) {
    printValue(*answer);
  } else {
    around_.out << "size " << args_.name << (args_.verb == Verb::SizeAdd ? ": added\n" : ": removed\n");
  }
  return ExitStatus::Done;
}

ExitStatus Session::customSizes() {
  const Result<json::value> answer = api_.call(requestFor(args_));
  if (!answer) return failed(answer.error());
  around_.out << text(*answer, "text") << "\n";
  return ExitStatus::Done;
}

ExitStatus Session::console() {
  const Result<json::value> vm = api_.call(requestFor(args_));
  if (!vm) return failed(vm.error());
  if (text(*vm, "powerState") != "PowerState/running") {
    return failed(Error{ErrorCode::Conflict, "VM " + args_.name + " does not run", {}, {}});
  }
  const Result<void> ended = attachConsole(text(*vm, "consoleSocket"), api_.stop());
  return ended ? ExitStatus::Done : failed(ended.error());
}

/// The extension once it rests; null when it is gone.
Result<json::value> Session::waitForExtension(json::value extension) {
  const std::string name = text(extension, "name");
  Arguments look = args_;
  look.verb = Verb::VmExtensionList;
  while (text(extension, "state") == "Creating" || text(extension, "state") == "Deleting") {
    progress_.show(json::object{
        {"id", name}, {"percent", at(extension, "percent")}, {"message", text(extension, "message")}});
    pauseFor(around_.retry_pause, api_.stop());  // The call after a stop fails by it.
    TRY(const json::value all, api_.call(requestFor(look)));
    extension = nullptr;
    for (const json::value& each : list(all, "")) {
      if (text(each, "name") == name) extension = each;
    }
  }
  progress_.clear();
  return extension;
}

ExitStatus Session::changeExtension() {
  Result<json::value> extension = api_.call(requestFor(args_));
  if (extension && args_.vm.wait) extension = waitForExtension(*std::move(extension));
  if (!extension) return failed(extension.error());
  if (!isTable()) {
    printValue(*extension);
  } else if (extension->is_null()) {
    around_.out << args_.vm.extension << ": removed\n";
  } else {
    around_.out << extensionTable(json::array{*extension}, style_);
  }
  if (text(*extension, "state") != "Failed") return ExitStatus::Done;
  const std::string message = text(*extension, "outcome.message");
  const ErrorDetail detail{"exit code " + text(*extension, "outcome.code"), "the attempt failed",
                           text(*extension, "outcome.remedy")};
  return failed(Error{ErrorCode::Conflict, message, {}, {detail}});
}

}  // namespace berth::cli
