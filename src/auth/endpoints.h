// Where a client finds what: the addresses that discovery tells, made from the one it came by, so that they
// work behind any name and port that leads here. Pure.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

namespace berth::auth {

struct Endpoints {
  std::string management;      // "https://management.box:8443"
  std::string login;           // "https://login.box:8443/adfs"
  std::string storage_suffix;  // "blob.box" without "blob.": accounts are ACCOUNT.blob.<this>.
};

/// For a request's Host header: one that begins with "management." or "login." leads to the pair of them, any
/// other name serves both. A header that is no host and port is answered with the device's own names.
Endpoints endpointsFor(std::string_view host_header, std::string_view device);

/// GET /metadata/endpoints: one object for api-versions before 2019-05-01, since then an array of clouds.
boost::json::value metadata(const Endpoints& endpoints, std::string_view api_version,
                            std::string_view tenant);

/// OpenID Connect discovery.
boost::json::value openIdConfiguration(const Endpoints& endpoints);

}  // namespace berth::auth
