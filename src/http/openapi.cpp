// The OpenAPI document: https://spec.openapis.org/oas/v3.1.0.
#include <cctype>
#include <string>

#include <boost/json.hpp>

#include "base/text.h"
#include "http/router.h"

namespace berth::http {
namespace {

namespace json = boost::json;

json::object parameter(std::string_view name, std::string_view where, std::string_view summary) {
  json::object described{
      {"name", name}, {"in", where}, {"required", where == "path"}, {"schema", {{"type", "string"}}}};
  if (!summary.empty()) described["description"] = summary;
  return described;
}

json::array parameters(const Route& route) {
  json::array all;
  for (const std::string& segment : split(route.pattern, '/')) {
    if (segment.size() < 3 || segment.front() != '{') continue;
    all.push_back(parameter(std::string_view(segment).substr(1, segment.size() - 2), "path", ""));
  }
  for (const QueryParameter& query : route.query)
    all.push_back(parameter(query.name, "query", query.summary));
  return all;
}

/// "GET /api/v1/gpus/{id}" -> "getApiV1GpusId".
std::string operationId(const Route& route) {
  std::string id = toLower(route.method);
  bool starts_word = false;
  for (const char c : route.pattern) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) == 0) {
      starts_word = true;
      continue;
    }
    id += starts_word ? static_cast<char>(std::toupper(byte)) : c;
    starts_word = false;
  }
  return id;
}

json::object errorSchema() {
  const json::object text{{"type", "string"}};
  const json::object detail{{"type", "object"},
                            {"properties", {{"target", text}, {"message", text}, {"remedy", text}}}};
  const json::object error{{"type", "object"},
                           {"properties",
                            {{"code", text},
                             {"reason", text},
                             {"message", text},
                             {"details", {{"type", "array"}, {"items", detail}}}}}};
  return {{"type", "object"}, {"properties", {{"error", error}}}};
}

json::object operation(const Route& route) {
  const json::object error{
      {"description", "The error"},
      {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
  json::object responses{{std::to_string(route.success_status), {{"description", route.summary}}},
                         {"default", error}};
  return {{"operationId", operationId(route)},
          {"summary", route.summary},
          {"x-berth-role", name(route.role)},
          {"parameters", parameters(route)},
          {"responses", std::move(responses)}};
}

}  // namespace

std::string openApiDocument(const std::vector<Route>& routes, std::string_view title,
                            std::string_view version) {
  json::object paths;
  for (const Route& route : routes) {
    json::value& path = paths[route.pattern];
    if (path.is_null()) path = json::object{};
    path.as_object()[toLower(route.method)] = operation(route);
  }
  const json::object document{{"openapi", "3.1.0"},
                              {"info", {{"title", title}, {"version", version}}},
                              {"paths", std::move(paths)},
                              {"components", {{"schemas", {{"Error", errorSchema()}}}}}};
  return json::serialize(document);
}

}  // namespace berth::http
