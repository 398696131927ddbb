#include "auth/endpoints.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/text.h"

namespace berth::auth {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxHost = 300;
constexpr std::string_view kManagement = "management.";
constexpr std::string_view kLogin = "login.";
constexpr std::string_view kFirstWithClouds = "2019-05-01";
constexpr const char* kCloudName = "Berth";

bool isHostAndPort(std::string_view text) {
  return !text.empty() && text.size() <= kMaxHost && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' || c == '[' ||
           c == ']';
  });
}

std::string withoutPort(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  const bool is_port = colon != std::string_view::npos && host.back() != ']';
  return std::string(host.substr(0, is_port ? colon : host.size()));
}

Endpoints pairOf(const std::string& base) {
  return {"https://management." + base, "https://login." + base + "/adfs", withoutPort(base)};
}

}  // namespace

Endpoints endpointsFor(std::string_view host_header, std::string_view device) {
  const std::string host = toLower(host_header);
  if (!isHostAndPort(host)) return pairOf(std::string(device));
  for (const std::string_view prefix : {kManagement, kLogin}) {
    if (host.starts_with(prefix)) return pairOf(host.substr(prefix.size()));
  }
  return {"https://" + host, "https://" + host + "/adfs", withoutPort(host)};
}

json::value metadata(const Endpoints& endpoints, std::string_view api_version, std::string_view tenant) {
  json::array audiences{endpoints.management + "/", endpoints.management};
  if (api_version < kFirstWithClouds) {
    return {{"galleryEndpoint", endpoints.management + "/"},
            {"graphEndpoint", endpoints.management + "/"},
            {"portalEndpoint", endpoints.management + "/"},
            {"authentication", {{"loginEndpoint", endpoints.login}, {"audiences", std::move(audiences)}}}};
  }
  return json::array{{{"name", kCloudName},
                      {"portal", endpoints.management},
                      {"resourceManager", endpoints.management},
                      {"graphAudience", endpoints.management + "/"},
                      {"graph", endpoints.management + "/"},
                      {"gallery", endpoints.management + "/"},
                      {"authentication",
                       {{"loginEndpoint", endpoints.login},
                        {"audiences", std::move(audiences)},
                        {"tenant", tenant},
                        {"identityProvider", "ADFS"}}},
                      {"suffixes", {{"storage", endpoints.storage_suffix}}}}};
}

json::value openIdConfiguration(const Endpoints& endpoints) {
  return {{"issuer", endpoints.login},
          {"authorization_endpoint", endpoints.login + "/oauth2/authorize"},
          {"token_endpoint", endpoints.login + "/oauth2/token"},
          {"jwks_uri", endpoints.login + "/discovery/keys"},
          {"token_endpoint_auth_methods_supported", {"client_secret_post", "client_secret_basic"}},
          {"grant_types_supported", {"password", "client_credentials"}},
          {"response_types_supported", {"token"}},
          {"subject_types_supported", {"pairwise"}},
          {"id_token_signing_alg_values_supported", {"RS256"}},
          {"scopes_supported", {"openid"}}};
}

}  // namespace berth::auth
