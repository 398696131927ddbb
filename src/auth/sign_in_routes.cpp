#include "auth/sign_in_routes.h"

#include <array>
#include <ctime>
#include <map>
#include <utility>

#include <boost/json.hpp>

#include "auth/endpoints.h"
#include "auth/form.h"
#include "base/text.h"

namespace berth::auth {
namespace {

namespace json = boost::json;
using http::Duration;
using http::Role;
using http::Route;
using http::ServerRequest;
using http::ServerResponse;
using Form = std::map<std::string, std::string>;

constexpr std::size_t kMaxTokenRequest = std::size_t{16} * 1024;
constexpr std::size_t kMaxAudience = 512;
constexpr std::string_view kDefaultScope = "/.default";

ServerResponse answer(const json::value& body, int status = 200) {
  ServerResponse response;
  response.status = status;
  response.body = json::serialize(body);
  response.headers.emplace_back("cache-control", "no-store");
  return response;
}

std::string valueOf(const Form& form, const std::string& key) {
  const auto found = form.find(key);
  return found == form.end() ? std::string() : found->second;
}

std::string now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%SZ", &parts)};
}

/// The body of Azure's sign-in service for `denial`.
ServerResponse refuse(const Denial& denial, const ServerRequest& request) {
  const std::string timestamp = now();
  const std::string description =
      "AADSTS" + std::to_string(denial.code) + ": " + denial.message + "\r\nTrace ID: " + request.id +
      "\r\nCorrelation ID: " + request.correlation_id + "\r\nTimestamp: " + timestamp;
  return answer({{"error", denial.error},
                 {"error_description", description},
                 {"error_codes", {denial.code}},
                 {"timestamp", timestamp},
                 {"trace_id", request.id},
                 {"correlation_id", request.correlation_id}},
                denial.status);
}

Denial missing(const std::string& field) {
  return {400, "invalid_request", 900144,
          "The request body must contain the following parameter: '" + field + "'."};
}

/// What the token is for: `resource` as older clients say it, or the first scope that is none of OpenID's.
std::string audienceOf(const Form& form) {
  std::string resource = valueOf(form, "resource");
  if (!resource.empty()) return resource;
  for (std::string& scope : split(valueOf(form, "scope"), ' ')) {
    if (scope.empty() || scope == "openid" || scope == "profile" || scope == "offline_access") continue;
    if (scope.ends_with(kDefaultScope)) scope.resize(scope.size() - kDefaultScope.size());
    return scope;
  }
  return {};
}

std::variant<Attempt, Denial> attemptFrom(const Form& form, const Endpoints& endpoints) {
  const std::string grant = valueOf(form, "grant_type");
  if (grant.empty()) return missing("grant_type");
  const bool by_password = grant == "password";
  if (!by_password && grant != "client_credentials") {
    return Denial{400, "unsupported_grant_type", 70003,
                  "The app requested an unsupported grant type '" + grant + "'."};
  }
  const std::string who_field = by_password ? "username" : "client_id";
  const std::string secret_field = by_password ? "password" : "client_secret";
  for (const std::string& field : {std::string("client_id"), who_field, secret_field}) {
    if (valueOf(form, field).empty()) return missing(field);
  }
  Attempt attempt{by_password ? Way::Password : Way::ClientSecret, valueOf(form, who_field),
                  valueOf(form, secret_field), audienceOf(form), endpoints.login};
  if (attempt.audience.empty()) attempt.audience = endpoints.management + "/";
  if (attempt.audience.size() > kMaxAudience) {
    return Denial{400, "invalid_resource", 500011, "The resource's name is too long."};
  }
  return attempt;
}

json::value grantBody(const Grant& grant) {
  const auto lifetime =
      std::chrono::duration_cast<std::chrono::seconds>(grant.claims.expires - grant.claims.issued).count();
  const auto seconds = [](std::chrono::system_clock::time_point when) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(when.time_since_epoch()).count());
  };
  return {{"token_type", "Bearer"},
          {"expires_in", lifetime},
          {"ext_expires_in", lifetime},
          {"expires_on", seconds(grant.claims.expires)},
          {"not_before", seconds(grant.claims.issued)},
          {"resource", grant.claims.audience},
          {"access_token", grant.token}};
}

/// The handlers; what they use outlives the server.
class Handlers {
 public:
  Handlers(SignIn& sign_in, const TokenKey& key, std::string device)
      : sign_in_(sign_in), key_(key), device_(std::move(device)) {}

  Result<ServerResponse> endpoints(const ServerRequest& request) const {
    const std::string_view version = request.queryValue("api-version");
    if (version.empty()) {
      return answer(
          {{"error",
            {{"code", "MissingApiVersionParameter"},
             {"message", "The api-version query parameter (?api-version=) is required for all requests."}}}},
          400);
    }
    return answer(metadata(endpointsOf(request), version, sign_in_.settings().tenant));
  }

  Result<ServerResponse> token(const ServerRequest& request) const {
    if (!isTenant(request)) return refuse(disabled(), request);
    const Result<Form> form = parseForm(request.body);
    if (!form) return refuse({400, "invalid_request", 9002014, form.error().message}, request);
    const auto attempt = attemptFrom(*form, endpointsOf(request));
    if (const auto* denial = std::get_if<Denial>(&attempt)) return refuse(*denial, request);
    const auto outcome = sign_in_.signIn(std::get<Attempt>(attempt));
    if (const auto* denial = std::get_if<Denial>(&outcome)) return refuse(*denial, request);
    return answer(grantBody(std::get<Grant>(outcome)));
  }

  Result<ServerResponse> openId(const ServerRequest& request) const {
    if (!isTenant(request)) return refuse(disabled(), request);
    return answer(openIdConfiguration(endpointsOf(request)));
  }

  Result<ServerResponse> keys(const ServerRequest& request) const {
    if (!isTenant(request)) return refuse(disabled(), request);
    ServerResponse response;
    response.body = key_.keySet();
    return response;
  }

 private:
  static Denial disabled() {
    return {400, "invalid_request", 90056,
            "The resource is disabled or does not exist. Check your app's code."};
  }

  bool isTenant(const ServerRequest& request) const {
    const std::string tenant = toLower(request.params.at("tenant"));
    return tenant == "adfs" || tenant == toLower(sign_in_.settings().tenant);
  }

  Endpoints endpointsOf(const ServerRequest& request) const {
    return endpointsFor(http::findHeader(request.headers, "host"), device_);
  }

  SignIn& sign_in_;
  const TokenKey& key_;
  const std::string device_;
};

}  // namespace

std::vector<Route> signInRoutes(SignIn& sign_in, const TokenKey& key, const std::string& device) {
  const auto handlers = std::make_shared<const Handlers>(sign_in, key, device);
  const auto to = [&](Result<ServerResponse> (Handlers::*method)(const ServerRequest&)
                          const) -> http::Handler {
    return [handlers, method](const ServerRequest& request) { return (*handlers.*method)(request); };
  };
  std::vector<Route> routes{
      {"GET",
       "/metadata/endpoints",
       Role::Anyone,
       to(&Handlers::endpoints),
       "Where to sign in",
       {{"api-version", "any"}}},
      {"GET", "/{tenant}/.well-known/openid-configuration", Role::Anyone, to(&Handlers::openId),
       "OpenID discovery"},
      {"GET", "/{tenant}/v2.0/.well-known/openid-configuration", Role::Anyone, to(&Handlers::openId),
       "OpenID discovery"},
      {"GET", "/{tenant}/discovery/keys", Role::Anyone, to(&Handlers::keys),
       "The keys tokens are signed with"},
  };
  for (const char* path : {"/{tenant}/oauth2/token", "/{tenant}/oauth2/v2.0/token"}) {
    // Hashing takes its time and waits for its turn; it may not take the short handlers' threads.
    routes.push_back({"POST",
                      path,
                      Role::Anyone,
                      to(&Handlers::token),
                      "A token for a secret",
                      {},
                      Duration::Long,
                      200,
                      kMaxTokenRequest});
  }
  return routes;
}

}  // namespace berth::auth
