#include "http/router.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "base/text.h"
#include "base/utf8.h"

namespace berth::http {
namespace {

using Params = std::map<std::string, std::string>;

bool isParameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

std::optional<Params> matchPattern(std::string_view pattern, const std::vector<std::string>& segments) {
  const std::vector<std::string> wanted = split(pattern.substr(1), '/');
  if (wanted.size() != segments.size()) return std::nullopt;
  Params params;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const std::string_view want = wanted[i];
    if (isParameter(want) && !segments[i].empty()) {
      params.emplace(want.substr(1, want.size() - 2), segments[i]);
    } else if (want != segments[i]) {
      return std::nullopt;
    }
  }
  return params;
}

bool answers(const Route& route, std::string_view method) {
  return route.method == method || (method == "HEAD" && route.method == "GET");
}

void allow(std::vector<std::string>& methods, const std::string& method) {
  if (std::ranges::find(methods, method) == methods.end()) methods.push_back(method);
  if (method == "GET") allow(methods, "HEAD");
}

/// What a target names is put into answers and into the ledger, as JSON.
bool allUtf8(const Target& target) {
  const auto both = [](const auto& pair) { return isUtf8(pair.first) && isUtf8(pair.second); };
  return isUtf8(target.path) && std::ranges::all_of(target.query, both);
}

}  // namespace

Result<Target> parseTarget(std::string_view text) {
  const auto url = boost::urls::parse_origin_form({text.data(), text.size()});
  if (!url) return fail(ErrorCode::InvalidArgument, "the request's target is not a path and query");
  Target target;
  target.path = url->path();
  for (const auto& segment : url->segments()) target.segments.emplace_back(segment);
  if (target.segments.empty()) target.segments.emplace_back();
  for (const auto& param : url->params()) target.query[param.key] = param.value;
  if (!allUtf8(target)) return fail(ErrorCode::InvalidArgument, "the request's target is not UTF-8 text");
  return target;
}

Match Router::match(std::string_view method, const Target& target) const {
  std::vector<std::string> methods;
  for (const Route& route : routes_) {
    auto params = matchPattern(route.pattern, target.segments);
    if (!params) continue;
    if (answers(route, method)) return Match{&route, std::move(*params)};
    allow(methods, route.method);
  }
  return Match{nullptr, {}, join(methods, ", ")};
}

}  // namespace berth::http
