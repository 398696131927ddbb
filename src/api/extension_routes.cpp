#include "api/extension_routes.h"

#include <memory>
#include <utility>

#include <boost/json.hpp>

#include "api/bodies.h"

namespace berth::api {
namespace {

namespace json = boost::json;
namespace extension = vm::extension;
using http::Role;
using http::Route;
using http::ServerRequest;
using http::ServerResponse;
using service::ExtensionView;

constexpr int kAccepted = 202;
constexpr std::size_t kMaxBody = 2 * extension::kMaxSettings;  // JSON may spell a character with more bytes.

/// As the ledger has them; they were checked when they came.
json::value settingsJson(const std::string& text) {
  json::error_code error;
  json::value settings = json::parse(text.empty() ? "{}" : text, error);
  return error ? json::value(json::object{}) : std::move(settings);
}

json::object outcomeJson(const extension::Outcome& outcome) {
  return {{"code", outcome.code},
          {"message", outcome.message},
          {"remedy", outcome.remedy},
          {"output", outcome.output},
          {"driverVersion", outcome.driver_version},
          {"bundle", outcome.bundle},
          {"reboot", outcome.reboot},
          {"warnings", json::value_from(outcome.warnings)}};
}

json::object viewJson(const ExtensionView& view) {
  const extension::Record& record = view.record;
  json::object row{{"name", record.request.name},
                   {"publisher", record.request.publisher},
                   {"type", record.request.type},
                   {"version", record.request.version},
                   {"settings", settingsJson(record.request.settings)},
                   {"state", extension::name(record.state)},
                   {"attempt", record.attempt},
                   {"percent", view.percent},
                   {"message", view.message}};
  row["outcome"] = record.outcome ? json::value(outcomeJson(*record.outcome)) : json::value();
  return row;
}

Result<extension::Request> requestOf(const std::string& name, const json::object& body) {
  TRY_VOID(checkFields(body, {"type", "publisher", "version", "settings"}));
  extension::Request request;
  request.name = name;
  TRY(const std::optional<std::string> type, optionalText(body, "type"));
  TRY(const std::optional<std::string> publisher, optionalText(body, "publisher"));
  TRY(const std::optional<std::string> version, optionalText(body, "version"));
  request.type = type.value_or("");
  request.publisher = publisher.value_or(extension::kPublisher);
  request.version = version.value_or("");
  const json::value* const settings = body.if_contains("settings");
  if (settings == nullptr || settings->is_null()) return request;
  if (!settings->is_object()) return fail(wrongType("settings", "an object"));
  request.settings = json::serialize(*settings);
  return request;
}

class ExtensionHandlers {
 public:
  explicit ExtensionHandlers(service::ExtensionService& extensions) : extensions_(extensions) {}

  Result<ServerResponse> list(const ServerRequest& request) const {
    TRY(const std::vector<ExtensionView> views, extensions_.list(request.params.at("name")));
    json::array rows;
    for (const ExtensionView& view : views) rows.push_back(viewJson(view));
    return answer(rows);
  }
  Result<ServerResponse> put(const ServerRequest& request) const {
    TRY(const json::object body, bodyObject(request));
    TRY(extension::Request wanted, requestOf(request.params.at("extension"), body));
    return goesOn(extensions_.put(request.params.at("name"), std::move(wanted)));
  }
  Result<ServerResponse> retry(const ServerRequest& request) const {
    return goesOn(extensions_.retry(request.params.at("name"), request.params.at("extension")));
  }
  Result<ServerResponse> remove(const ServerRequest& request) const {
    return goesOn(extensions_.remove(request.params.at("name"), request.params.at("extension")));
  }

 private:
  static Result<ServerResponse> goesOn(const Result<ExtensionView>& view) {
    if (!view) return fail(view.error());
    return answer(viewJson(*view), kAccepted);
  }

  service::ExtensionService& extensions_;
};

}  // namespace

std::vector<Route> extensionRoutes(service::ExtensionService& extensions) {
  const auto handlers = std::make_shared<const ExtensionHandlers>(extensions);
  using Method = Result<ServerResponse> (ExtensionHandlers::*)(const ServerRequest&) const;
  const auto on = [&](Method method) -> http::Handler {
    return [handlers, method](const ServerRequest& request) { return ((*handlers).*method)(request); };
  };
  const auto change = [&](const char* method, const char* pattern, Method handler, const char* summary) {
    return Route{method,    pattern, Role::Operator, on(handler), summary, {}, http::Duration::Short,
                 kAccepted, kMaxBody};
  };
  using H = ExtensionHandlers;
  const char* const one = "/api/v1/vms/{name}/extensions/{extension}";
  return {
      Route{"GET", "/api/v1/vms/{name}/extensions", Role::Reader, on(&H::list),
            "The GPU driver extensions of a VM"},
      change("PUT", one, &H::put, "Installs the GPU driver in the guest, or another version of it"),
      change("POST", "/api/v1/vms/{name}/extensions/{extension}/retry", &H::retry,
             "Tries a failed installation again"),
      change("DELETE", one, &H::remove,
             "Removes the driver from the guest, where it came with a program for that"),
  };
}

}  // namespace berth::api
