#include "api/routes.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <optional>
#include <utility>

#include <boost/json.hpp>
#include <unistd.h>

#include "api/bodies.h"
#include "api/extension_routes.h"
#include "api/logs.h"
#include "api/usage_views.h"
#include "api/version.h"
#include "api/vm_routes.h"
#include "api/vm_views.h"
#include "base/text.h"

namespace berth::api {
namespace {

namespace json = boost::json;
using http::Duration;
using http::Role;
using http::Route;
using http::ServerRequest;
using http::ServerResponse;
using service::Accepted;
using service::Book;
using service::DryRun;

constexpr std::int64_t kMaxWaitSeconds = 60;
constexpr std::int64_t kMaxEvents = 1000;
constexpr int kStreamBatch = 100;
constexpr std::chrono::seconds kKeepAlive{15};
constexpr std::size_t kMaxManifestBytes = (std::size_t{4} << 20) + 1;  // The parser names its own limit.
constexpr std::size_t kMaxSmallBody = 4096;

std::string hostName() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

/// The handlers, as methods so that each is a name in the table below.
class Handlers {
 public:
  explicit Handlers(Collaborators parts) : parts_(parts) {}

  Result<ServerResponse> status(const ServerRequest& /*request*/) const {
    const auto book = this->book();
    json::array gpus;
    for (const ledger::Gpu& gpu : book->state.gpus) gpus.push_back(gpuWithSample(*book, gpu));
    json::value driver = nullptr;
    if (const auto info = parts_.live.driver()) {
      driver = {{"driverVersion", info->driver_version},
                {"cudaVersion", info->cuda_version},
                {"simulated", info->simulated}};
    }
    const EngineView engine = parts_.live.engine();
    const bool elastic = desk().policy().arbitration == arbiter::Arbitration::Elastic;
    return answer(
        {{"device", {{"hostname", hostName()}, {"version", kVersion}, {"driver", driver}}},
         {"arbitration", elastic ? "elastic" : "appliance"},
         {"kubernetes", kubernetesJson(book->state)},
         {"engine",
          {{"available", engine.available}, {"version", engine.version}, {"message", engine.message}}},
         {"gpus", std::move(gpus)},
         {"workloads", workloadArray(*book)},
         {"reservations", reservationArray(*book)},
         {"vms", vmArray(*book)}});
  }

  Result<ServerResponse> listGpus(const ServerRequest& /*request*/) const {
    const auto book = this->book();
    json::array gpus;
    for (const ledger::Gpu& gpu : book->state.gpus) {
      gpus.push_back(gpuJson(book->state, gpu, parts_.live.mps(gpu)));
    }
    return answer(gpus);
  }

  Result<ServerResponse> showGpu(const ServerRequest& request) const {
    const auto book = this->book();
    TRY(const ledger::Gpu* gpu, gpuNamed(*book, request.params.at("id")));
    json::object row = gpuWithSample(*book, *gpu);
    const std::vector<sharing::GpuReport> reports = parts_.live.usage();
    const auto report = std::ranges::find(reports, gpu->uuid, &sharing::GpuReport::gpu);
    row["usage"] = report == reports.end() ? json::value(nullptr) : usageJson(book->state, *report);
    return answer(row);
  }

  Result<ServerResponse> usage(const ServerRequest& /*request*/) const {
    return answer(usageArray(book()->state, parts_.live.usage()));
  }

  Result<ServerResponse> setMode(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const std::string text, requiredText(body, "mode"));
    TRY(const bool restart, flagOf(body, "restart"));
    TRY(const DryRun dry_run, dryRun(request));
    ledger::Mode mode{};
    if (!ledger::fromName(text, mode)) {
      return fail(ErrorCode::InvalidArgument,
                  "there is no mode \"" + text + "\"; there are exclusive, timeslice and mps");
    }
    return accepted(parts_.service.setMode(request.params.at("id"), mode, restart, dry_run), dry_run);
  }

  Result<ServerResponse> apply(const ServerRequest& request) const {
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.apply(request.body, fileName(request), dry_run), dry_run);
  }

  Result<ServerResponse> deleteManifest(const ServerRequest& request) const {
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.deleteManifest(request.body, fileName(request), dry_run), dry_run);
  }

  Result<ServerResponse> listWorkloads(const ServerRequest& /*request*/) const {
    return answer(workloadArray(*book()));
  }

  Result<ServerResponse> showWorkload(const ServerRequest& request) const {
    const auto book = this->book();
    TRY(const service::WorkloadRecord* workload, workloadNamed(*book, request.params.at("name")));
    json::object row = workloadJson(book->state, *workload);
    const std::vector<sharing::GpuReport> reports = parts_.live.usage();
    for (json::value& container : row.at("containers").as_array()) {
      const std::string name(container.at("name").as_string());
      container.as_object()["usage"] = containerUsage(book->state, reports, name);
    }
    return answer(row);
  }

  Result<ServerResponse> stopWorkload(const ServerRequest& request) const {
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.stopWorkload(request.params.at("name"), dry_run), dry_run);
  }

  Result<ServerResponse> startWorkload(const ServerRequest& request) const {
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.startWorkload(request.params.at("name"), dry_run), dry_run);
  }

  Result<ServerResponse> setLimits(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    service::LimitChange change;
    TRY(const std::optional<std::string> container, optionalText(body, "container"));
    change.container = container.value_or("");
    TRY(const std::optional<std::int64_t> compute, optionalNumber(body, "computePercent"));
    if (compute && (*compute < 1 || *compute > 100)) return fail(wrongType("computePercent", "1 to 100"));
    if (compute) change.compute = Percent{static_cast<int>(*compute)};
    TRY(const std::optional<std::int64_t> memory, optionalNumber(body, "memoryMiB"));
    if (memory && *memory < 1) return fail(wrongType("memoryMiB", "at least 1"));
    if (memory) change.memory = MiB{*memory};
    TRY(change.restart, flagOf(body, "restart"));
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.setLimits(request.params.at("name"), change, dry_run), dry_run);
  }

  Result<ServerResponse> deleteWorkload(const ServerRequest& request) const {
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.deleteWorkload(request.params.at("name"), dry_run), dry_run);
  }

  Result<ServerResponse> logs(const ServerRequest& request) const {
    const auto book = this->book();
    TRY(const service::WorkloadRecord* workload, workloadNamed(*book, request.params.at("name")));
    LogRequest wanted;
    wanted.container = std::string(request.queryValue("container"));
    TRY(wanted.follow, request.queryFlag("follow"));
    TRY(const std::int64_t tail, request.queryNumber("tail", -1, 1'000'000));
    if (tail >= 0) wanted.tail = static_cast<int>(tail);
    TRY(const std::vector<LogSource> sources, logSources(*workload, wanted));
    ServerResponse response;
    response.content_type = "text/plain; charset=utf-8";
    response.stream = [this, sources, wanted](http::BodyWriter& out) {
      streamLogs(parts_.service.engine(), sources, wanted, out);
    };
    return response;
  }

  Result<ServerResponse> listReservations(const ServerRequest& /*request*/) const {
    return answer(reservationArray(*book()));
  }

  Result<ServerResponse> reserve(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const std::optional<std::int64_t> gpus, optionalNumber(body, "gpus"));
    TRY(const DryRun dry_run, dryRun(request));
    if (gpus.value_or(1) < 1 || gpus.value_or(1) > kMaxEvents) {
      return fail(ErrorCode::InvalidArgument, "\"gpus\" must be at least 1");
    }
    const int count = static_cast<int>(gpus.value_or(1));
    return accepted(parts_.service.reserve(request.params.at("name"), count, dry_run), dry_run);
  }

  Result<ServerResponse> unreserve(const ServerRequest& request) const {
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.unreserve(request.params.at("name"), dry_run), dry_run);
  }

  Result<ServerResponse> kubernetes(const ServerRequest& /*request*/) const {
    return answer(kubernetesJson(book()->state));
  }

  Result<ServerResponse> enableKubernetes(const ServerRequest& request) const {
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.enableKubernetes(dry_run), dry_run);
  }

  Result<ServerResponse> disableKubernetes(const ServerRequest& request) const {
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.disableKubernetes(dry_run), dry_run);
  }

  Result<ServerResponse> releaseFromKubernetes(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const std::optional<std::string> gpu, optionalText(body, "gpu"));
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.releaseFromKubernetes(gpu, dry_run), dry_run);
  }

  Result<ServerResponse> listMps(const ServerRequest& /*request*/) const {
    json::array rows;
    const auto book = this->book();
    for (const ledger::Gpu& gpu : book->state.gpus) rows.push_back(mpsJson(gpu, parts_.live.mps(gpu)));
    return answer(rows);
  }

  Result<ServerResponse> startMps(const ServerRequest& request) const { return switchMps(request, true); }
  Result<ServerResponse> stopMps(const ServerRequest& request) const { return switchMps(request, false); }

  Result<ServerResponse> events(const ServerRequest& request) const {
    TRY(const std::int64_t since, request.queryNumber("since", 0, INT64_MAX));
    TRY(const std::int64_t limit, request.queryNumber("limit", kMaxEvents, kMaxEvents));
    TRY(const std::vector<service::Event> events, desk().events(since, static_cast<int>(limit)));
    json::array rows;
    for (const service::Event& event : events) rows.push_back(eventJson(event));
    return answer(rows);
  }

  Result<ServerResponse> eventStream(const ServerRequest& request) const {
    TRY(std::int64_t since, request.queryNumber("since", 0, INT64_MAX));
    const std::string_view resumed = http::findHeader(request.headers, "last-event-id");
    if (const auto last = parseWholeNumber(resumed)) since = *last;
    ServerResponse response;
    response.content_type = "text/event-stream";
    response.headers = {{"cache-control", "no-store"}};
    response.stream = [this, since](http::BodyWriter& out) { streamEvents(since, out); };
    return response;
  }

  Result<ServerResponse> listOperations(const ServerRequest& /*request*/) const {
    std::vector<std::shared_ptr<const service::Operation>> newest;
    const auto book = this->book();
    for (const auto& [id, operation] : book->operations) newest.push_back(operation);
    std::ranges::sort(newest, std::greater{},
                      [](const auto& op) { return std::pair(op->id.size(), op->id); });
    json::array rows;
    for (const auto& operation : newest) rows.push_back(operationJson(*operation));
    return answer(rows);
  }

  /// Long poll: answers when the operation differs from what it was at the call, or is finished, or the time
  /// is over.
  Result<ServerResponse> showOperation(const ServerRequest& request) const {
    const std::string& id = request.params.at("id");
    TRY(const std::int64_t wait, request.queryNumber("wait", 0, kMaxWaitSeconds));
    const auto first = operationNamed(*book(), id);
    if (first == nullptr) return fail(ErrorCode::NotFound, "there is no operation " + id);
    const auto moved = [&](const Book& now) {
      const auto operation = operationNamed(now, id);
      return operation != first || operation->state != service::Operation::State::Running;
    };
    if (wait > 0) {
      static_cast<void>(desk().waitUntil(moved, std::chrono::steady_clock::now() + std::chrono::seconds(wait),
                                         request.stop));
    }
    const auto operation = operationNamed(*book(), id);
    return answer(operationJson(operation == nullptr ? *first : *operation));
  }

  Result<ServerResponse> simulation(const ServerRequest& /*request*/) const {
    TRY(std::string status, parts_.simulation.status());
    ServerResponse response;
    response.body = std::move(status);
    return response;
  }

  Result<ServerResponse> injectFault(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const std::string text, requiredText(body, "gpu"));
    TRY(const std::string fault, requiredText(body, "fault"));
    TRY(const std::optional<std::int64_t> value, optionalNumber(body, "value"));
    const auto book = this->book();
    TRY(const ledger::Gpu* gpu, gpuNamed(*book, text));
    TRY_VOID(parts_.simulation.inject(*gpu, fault, value));
    return answer({{"gpu", gpu->index}, {"fault", fault}});
  }

  static Result<ServerResponse> health(const ServerRequest& /*request*/) {
    return answer({{"status", "ok"}});
  }

 private:
  service::Desk& desk() const { return parts_.service.desk(); }
  std::shared_ptr<const Book> book() const { return desk().book(); }

  static std::string fileName(const ServerRequest& request) {
    const std::string_view name = request.queryValue("file");
    return name.empty() ? "(input)" : std::string(name);
  }

  static Result<const ledger::Gpu*> gpuNamed(const Book& book, const std::string& text) {
    return service::gpuByText(book.state, text);
  }

  static Result<const service::WorkloadRecord*> workloadNamed(const Book& book, const std::string& name) {
    const auto found = book.workloads.find(name);
    if (found == book.workloads.end()) return fail(ErrorCode::NotFound, "there is no workload " + name);
    return found->second.get();
  }

  static std::shared_ptr<const service::Operation> operationNamed(const Book& book, const std::string& id) {
    const auto found = book.operations.find(id);
    return found == book.operations.end() ? nullptr : found->second;
  }

  json::object gpuWithSample(const Book& book, const ledger::Gpu& gpu) const {
    const GpuNow now = parts_.live.now(book.state, gpu);
    return gpuJson(book.state, gpu, parts_.live.mps(gpu), &now);
  }

  static json::array workloadArray(const Book& book) {
    json::array rows;
    for (const auto& [name, workload] : book.workloads) rows.push_back(workloadJson(book.state, *workload));
    return rows;
  }

  static json::array reservationArray(const Book& book) {
    json::array rows;
    for (const auto& [name, reservation] : book.reservations) {
      rows.push_back(reservationJson(book.state, name, reservation));
    }
    return rows;
  }

  Result<ServerResponse> accepted(Result<Accepted> result, DryRun dry_run) const {
    return api::accepted(desk(), std::move(result), dry_run);
  }

  Result<ServerResponse> switchMps(const ServerRequest& request, bool on) const {
    TRY(const json::object body, bodyObject(request));
    TRY(const std::optional<std::string> gpu, optionalText(body, "gpu"));
    TRY(const bool restart, flagOf(body, "restart"));
    TRY(const DryRun dry_run, dryRun(request));
    return accepted(parts_.service.switchMps(on, gpu, restart, dry_run), dry_run);
  }

  void streamEvents(std::int64_t since, http::BodyWriter& out) const {
    while (!out.stop().stop_requested()) {
      const Result<std::vector<service::Event>> events = desk().events(since, kStreamBatch);
      if (!events) return;
      for (const service::Event& event : *events) {
        const std::string text =
            http::serverSentEvent(std::to_string(event.seq), event.kind, json::serialize(eventJson(event)));
        if (!out.write(text)) return;
        since = event.seq;
      }
      if (!events->empty()) continue;
      const auto news = [&](const Book& /*book*/) {
        const auto more = desk().events(since, 1);
        return !more || !more->empty();
      };
      const bool any = desk().waitUntil(news, std::chrono::steady_clock::now() + kKeepAlive, out.stop());
      if (!any && !out.write(": still here\n\n")) return;
    }
  }

  Collaborators parts_;
};

}  // namespace

std::vector<Route> routes(Collaborators parts, std::vector<Route> more) {
  const auto handlers = std::make_shared<const Handlers>(parts);
  const auto on = [&](Result<ServerResponse> (Handlers::*method)(const ServerRequest&)
                          const) -> http::Handler {
    return [handlers, method](const ServerRequest& request) { return ((*handlers).*method)(request); };
  };
  const http::QueryParameter dry{"dryRun", "true: say what would happen and do nothing"};
  const http::QueryParameter file{"file", "the file's name, for messages"};
  std::vector<Route> table{
      {"GET", "/healthz", Role::Anyone, &Handlers::health, "Whether the daemon answers"},
      {"GET", "/api/v1/status", Role::Reader, on(&Handlers::status), "Everything at a glance"},
      {"GET", "/api/v1/gpus", Role::Reader, on(&Handlers::listGpus), "The GPUs, their owners and berths"},
      {"GET", "/api/v1/gpus/{id}", Role::Reader, on(&Handlers::showGpu),
       "One GPU by index, UUID or PCI address, with a sample"},
      {"GET", "/api/v1/usage", Role::Reader, on(&Handlers::usage),
       "Who used what of each GPU: containers, the remainder and the device"},
      {"PUT",
       "/api/v1/gpus/{id}/mode",
       Role::Operator,
       on(&Handlers::setMode),
       "Changes how containers share a GPU",
       {dry},
       Duration::Short,
       202,
       kMaxSmallBody},
      {"POST",
       "/api/v1/apply",
       Role::Operator,
       on(&Handlers::apply),
       "Runs the workloads of a manifest",
       {dry, file},
       Duration::Short,
       202,
       kMaxManifestBytes},
      {"POST",
       "/api/v1/delete",
       Role::Operator,
       on(&Handlers::deleteManifest),
       "Deletes the workloads a manifest names",
       {dry, file},
       Duration::Short,
       202,
       kMaxManifestBytes},
      {"GET", "/api/v1/workloads", Role::Reader, on(&Handlers::listWorkloads), "The workloads"},
      {"GET", "/api/v1/workloads/{name}", Role::Reader, on(&Handlers::showWorkload), "One workload"},
      {"DELETE",
       "/api/v1/workloads/{name}",
       Role::Operator,
       on(&Handlers::deleteWorkload),
       "Stops a workload and forgets it",
       {dry},
       Duration::Short,
       202},
      {"POST",
       "/api/v1/workloads/{name}/stop",
       Role::Operator,
       on(&Handlers::stopWorkload),
       "Stops a workload and gives its berths back",
       {dry},
       Duration::Short,
       202},
      {"POST",
       "/api/v1/workloads/{name}/start",
       Role::Operator,
       on(&Handlers::startWorkload),
       "Starts a stopped or ended workload again",
       {dry},
       Duration::Short,
       202},
      {"PATCH",
       "/api/v1/workloads/{name}/limits",
       Role::Operator,
       on(&Handlers::setLimits),
       "Changes the share of its containers while they run",
       {dry},
       Duration::Short,
       202,
       kMaxSmallBody},
      {"GET",
       "/api/v1/workloads/{name}/logs",
       Role::Reader,
       on(&Handlers::logs),
       "What its containers wrote",
       {{"container", "one container of several"},
        {"follow", "true: go on as more is written"},
        {"tail", "only the last N lines"}},
       Duration::Long},
      {"GET", "/api/v1/reservations", Role::Reader, on(&Handlers::listReservations),
       "GPUs kept for VMs to come"},
      {"PUT",
       "/api/v1/reservations/{name}",
       Role::Operator,
       on(&Handlers::reserve),
       "Keeps whole GPUs for a VM to come",
       {dry},
       Duration::Short,
       202,
       kMaxSmallBody},
      {"DELETE",
       "/api/v1/reservations/{name}",
       Role::Operator,
       on(&Handlers::unreserve),
       "Gives a reservation's GPUs back",
       {dry},
       Duration::Short,
       202},
      {"GET", "/api/v1/kubernetes", Role::Reader, on(&Handlers::kubernetes), "The cluster's claim"},
      {"POST",
       "/api/v1/kubernetes/enable",
       Role::Operator,
       on(&Handlers::enableKubernetes),
       "Claims every free GPU for Kubernetes",
       {dry},
       Duration::Short,
       202,
       kMaxSmallBody},
      {"POST",
       "/api/v1/kubernetes/disable",
       Role::Operator,
       on(&Handlers::disableKubernetes),
       "Ends the claim; nothing that runs is stopped",
       {dry},
       Duration::Short,
       202,
       kMaxSmallBody},
      {"POST",
       "/api/v1/kubernetes/release",
       Role::Operator,
       on(&Handlers::releaseFromKubernetes),
       "Takes idle GPUs back from Kubernetes",
       {dry},
       Duration::Short,
       202,
       kMaxSmallBody},
      {"GET", "/api/v1/mps", Role::Reader, on(&Handlers::listMps), "MPS per GPU"},
      {"POST",
       "/api/v1/mps/start",
       Role::Operator,
       on(&Handlers::startMps),
       "Switches MPS on",
       {dry},
       Duration::Short,
       202,
       kMaxSmallBody},
      {"POST",
       "/api/v1/mps/stop",
       Role::Operator,
       on(&Handlers::stopMps),
       "Switches MPS off",
       {dry},
       Duration::Short,
       202,
       kMaxSmallBody},
      {"GET",
       "/api/v1/events",
       Role::Reader,
       on(&Handlers::events),
       "What happened, oldest first",
       {{"since", "only later than this number"}, {"limit", "at most so many"}}},
      {"GET",
       "/api/v1/events/stream",
       Role::Reader,
       on(&Handlers::eventStream),
       "The same as server-sent events, resumed by Last-Event-ID",
       {{"since", "only later than this number"}},
       Duration::Long},
      {"GET", "/api/v1/operations", Role::Reader, on(&Handlers::listOperations), "Operations, newest first"},
      {"GET",
       "/api/v1/operations/{id}",
       Role::Reader,
       on(&Handlers::showOperation),
       "One operation",
       {{"wait", "seconds to wait for news"}},
       Duration::Long},
      {"GET", "/api/v1/sim", Role::Reader, on(&Handlers::simulation), "The simulated driver's state"},
      {"POST",
       "/api/v1/sim/faults",
       Role::Owner,
       on(&Handlers::injectFault),
       "Makes a simulated GPU fail or recover",
       {},
       Duration::Short,
       200,
       kMaxSmallBody},
  };
  std::ranges::move(vmRoutes(parts.vms), std::back_inserter(table));
  std::ranges::move(extensionRoutes(parts.extensions), std::back_inserter(table));
  std::ranges::move(more, std::back_inserter(table));
  const std::string document = http::openApiDocument(table, "Berth", kVersion);
  table.push_back({"GET", "/api/v1/openapi.json", Role::Reader,
                   [document](const ServerRequest& /*request*/) -> Result<ServerResponse> {
                     ServerResponse response;
                     response.body = document;
                     return response;
                   },
                   "This description"});
  return table;
}

}  // namespace berth::api
