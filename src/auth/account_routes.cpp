#include "auth/account_routes.h"

#include <memory>
#include <optional>
#include <utility>

#include <boost/json.hpp>

#include "auth/endpoints.h"
#include "base/log.h"
#include "base/text.h"

namespace berth::auth {
namespace {

namespace json = boost::json;
using http::Role;
using http::Route;
using http::ServerRequest;
using http::ServerResponse;

constexpr std::size_t kMaxBody = 4096;
constexpr std::int64_t kMaxLifetimeSeconds = std::int64_t{366} * 24 * 3600;

ServerResponse answer(const json::value& body, int status = 200) {
  ServerResponse response;
  response.status = status;
  response.body = json::serialize(body);
  response.headers.emplace_back("cache-control", "no-store");
  return response;
}

json::object toJson(const Account& account) {
  return {{"name", account.name},
          {"clientId", account.client_id},
          {"role", http::name(account.role)},
          {"active", !account.secret_hash.empty()},
          {"created", account.created}};
}

Result<json::object> bodyOf(const ServerRequest& request) {
  if (trim(request.body).empty()) return json::object{};
  boost::system::error_code error;
  json::value value = json::parse(request.body, error);
  if (error || !value.is_object()) return fail(ErrorCode::InvalidArgument, "the body is not a JSON object");
  return std::move(value.get_object());
}

Result<std::optional<std::string>> textIn(const json::object& body, std::string_view key) {
  const json::value* value = body.if_contains(key);
  if (value == nullptr || value->is_null()) return std::optional<std::string>();
  if (!value->is_string()) {
    return fail(ErrorCode::InvalidArgument, "\"" + std::string(key) + "\" must be a string");
  }
  return std::optional(std::string(value->get_string()));
}

Result<std::chrono::seconds> lifetimeIn(const json::object& body, std::chrono::seconds fallback) {
  const json::value* value = body.if_contains("lifetimeSeconds");
  if (value == nullptr || value->is_null()) return fallback;
  const bool fits = value->is_int64() && value->get_int64() >= 1 && value->get_int64() <= kMaxLifetimeSeconds;
  if (fits) return std::chrono::seconds(value->get_int64());
  return fail(ErrorCode::InvalidArgument,
              "\"lifetimeSeconds\" must be a whole number from 1 to " + std::to_string(kMaxLifetimeSeconds));
}

class Handlers {
 public:
  Handlers(AccountStore& accounts, const SignIn& sign_in, std::string device)
      : accounts_(accounts), sign_in_(sign_in), device_(std::move(device)) {}

  Result<ServerResponse> list(const ServerRequest& /*request*/) const {
    json::array accounts;
    const auto book = accounts_.book();
    for (const Account& account : book->all()) accounts.push_back(toJson(account));
    return answer(accounts);
  }

  Result<ServerResponse> create(const ServerRequest& request) const {
    TRY(const json::object body, bodyOf(request));
    TRY(const std::optional<std::string> name, textIn(body, "name"));
    TRY(const std::optional<std::string> role_text, textIn(body, "role"));
    TRY(const std::optional<std::string> secret, textIn(body, "secret"));
    if (!name) return fail(ErrorCode::InvalidArgument, "\"name\" is missing");
    TRY(const Role role, parseRole(role_text.value_or("reader")));
    TRY(const std::chrono::seconds lifetime, lifetimeIn(body, sign_in_.settings().lifetime));
    TRY(const NewSecret made, accounts_.create(*name, role, secret));
    return told(made, lifetime, 201, request);
  }

  Result<ServerResponse> reset(const ServerRequest& request) const {
    TRY(const json::object body, bodyOf(request));
    TRY(const std::optional<std::string> secret, textIn(body, "secret"));
    TRY(const std::chrono::seconds lifetime, lifetimeIn(body, sign_in_.settings().lifetime));
    TRY(const NewSecret made, accounts_.reset(request.params.at("name"), secret));
    return told(made, lifetime, 200, request);
  }

  Result<ServerResponse> revoke(const ServerRequest& request) const {
    TRY_VOID(accounts_.revoke(request.params.at("name")));
    note("account revoked", request.params.at("name"), request);
    return answer({{"name", request.params.at("name")}, {"revoked", true}});
  }

 private:
  static void note(std::string_view what, const std::string& account, const ServerRequest& request) {
    log(LogLevel::Info, what, {{"account", account}, {"by", request.principal.name}, {"id", request.id}});
  }

  Result<ServerResponse> told(const NewSecret& made, std::chrono::seconds lifetime, int status,
                              const ServerRequest& request) const {
    const Endpoints endpoints = endpointsFor({}, device_);
    TRY(const Grant grant,
        sign_in_.tokenFor(made.account, endpoints.management + "/", endpoints.login, lifetime));
    note("account given a secret", made.account.name, request);
    json::object body = toJson(made.account);
    body["tenant"] = sign_in_.settings().tenant;
    body["secret"] = made.secret;
    body["token"] = grant.token;
    body["tokenLifetimeSeconds"] = lifetime.count();
    return answer(std::move(body), status);
  }

  AccountStore& accounts_;
  const SignIn& sign_in_;
  const std::string device_;
};

}  // namespace

std::vector<Route> accountRoutes(AccountStore& accounts, const SignIn& sign_in, const std::string& device) {
  const auto handlers = std::make_shared<const Handlers>(accounts, sign_in, device);
  const auto to = [&](Result<ServerResponse> (Handlers::*method)(const ServerRequest&)
                          const) -> http::Handler {
    return [handlers, method](const ServerRequest& request) { return (*handlers.*method)(request); };
  };
  std::vector<Route> routes{
      {"GET", "/api/v1/tokens", Role::Owner, to(&Handlers::list), "Who may sign in from the network"},
      {"POST", "/api/v1/tokens", Role::Owner, to(&Handlers::create), "Lets another one sign in"},
      {"POST", "/api/v1/tokens/{name}/reset", Role::Owner, to(&Handlers::reset),
       "Another secret; the old one and its tokens are void"},
      {"DELETE", "/api/v1/tokens/{name}", Role::Owner, to(&Handlers::revoke),
       "Nobody signs in by it any more"},
  };
  for (Route& route : routes) route.max_body_bytes = kMaxBody;
  routes[1].success_status = 201;
  return routes;
}

}  // namespace berth::auth
