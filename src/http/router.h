// Routes as a table: what may be asked, by whom, and who answers. The OpenAPI document is made from the same
// table, so it cannot lie about either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "http/exchange.h"

namespace berth::http {

inline constexpr std::size_t kMaxBodyBytes = std::size_t{8} * 1024 * 1024;

/// Which pool a handler runs on: Long for those that wait for something to happen (long polls, followed logs,
/// event streams), so that they cannot take the Short ones' threads.
enum class Duration : std::uint8_t { Short, Long };

struct QueryParameter {
  std::string name;
  std::string summary;
};

struct Route {
  std::string method;   // "GET"; a GET answers HEAD as well.
  std::string pattern;  // "/api/v1/gpus/{id}": a segment in braces matches any one segment.
  Role role = Role::Owner;
  Handler handler;
  std::string summary;
  std::vector<QueryParameter> query{};
  Duration duration = Duration::Short;
  int success_status = 200;  // For the OpenAPI document.
  std::size_t max_body_bytes = kMaxBodyBytes;
};

/// A request's target, taken apart.
struct Target {
  std::string path;                   // Decoded.
  std::vector<std::string> segments;  // Decoded one by one, so that %2F stays inside of one.
  std::map<std::string, std::string> query;
};

/// Origin form only: "/path?query". InvalidArgument for everything else, for bad percent-encoding and for
/// what decodes to no UTF-8.
Result<Target> parseTarget(std::string_view target);

/// What the table says about a method and path.
struct Match {
  const Route* route = nullptr;  // Null: see `allowed`.
  std::map<std::string, std::string> params{};
  std::string allowed{};  // Methods the path has, "GET, HEAD, PUT"; empty: no such path.
};

/// Immutable once built; safe from every thread.
class Router {
 public:
  /// Routes are tried in the order of the table, so "/gpus/all" comes before "/gpus/{id}".
  explicit Router(std::vector<Route> routes) : routes_(std::move(routes)) {}

  Match match(std::string_view method, const Target& target) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

/// The OpenAPI 3.1 document of `routes`, as JSON text.
std::string openApiDocument(const std::vector<Route>& routes, std::string_view title,
                            std::string_view version);

}  // namespace berth::http
