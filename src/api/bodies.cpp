#include "api/bodies.h"

#include <algorithm>
#include <utility>

#include <boost/json.hpp>

#include "api/views.h"
#include "base/text.h"

namespace berth::api {

namespace json = boost::json;
using http::ServerRequest;
using http::ServerResponse;
using service::DryRun;

Error wrongType(std::string_view key, std::string_view type) {
  return Error{
      ErrorCode::InvalidArgument, "\"" + std::string(key) + "\" must be " + std::string(type), {}, {}};
}

Result<ServerResponse> answer(const json::value& body, int status) {
  ServerResponse response;
  response.status = status;
  response.body = json::serialize(body);
  return response;
}

Result<DryRun> dryRun(const ServerRequest& request) {
  TRY(const bool flag, request.queryFlag("dryRun"));
  return flag ? DryRun::Yes : DryRun::No;
}

Result<json::object> bodyObject(const ServerRequest& request) {
  if (trim(request.body).empty()) return json::object{};
  boost::system::error_code error;
  json::value value = json::parse(request.body, error);
  if (error || !value.is_object()) {
    return fail(ErrorCode::InvalidArgument,
                "the body is not a JSON object" + (error ? ": " + error.message() : std::string()));
  }
  return std::move(value.get_object());
}

Result<std::optional<std::string>> optionalText(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return std::optional<std::string>{};
  if (!value->is_string()) return fail(wrongType(key, "a string"));
  return std::optional(std::string(value->get_string()));
}

Result<std::string> requiredText(const json::object& object, std::string_view key) {
  TRY(std::optional<std::string> text, optionalText(object, key));
  if (!text) return fail(ErrorCode::InvalidArgument, "\"" + std::string(key) + "\" is missing");
  return *std::move(text);
}

Result<bool> flagOf(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return false;
  if (!value->is_bool()) return fail(wrongType(key, "true or false"));
  return value->get_bool();
}

Result<std::optional<std::int64_t>> optionalNumber(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return std::optional<std::int64_t>{};
  if (!value->is_int64()) return fail(wrongType(key, "a whole number"));
  return std::optional(value->get_int64());
}

Result<std::vector<std::string>> textsOf(const json::object& object, std::string_view key) {
  std::vector<std::string> texts;
  const json::value* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return texts;
  if (!value->is_array()) return fail(wrongType(key, "a list of strings"));
  for (const json::value& item : value->get_array()) {
    if (!item.is_string()) return fail(wrongType(key, "a list of strings"));
    texts.emplace_back(item.get_string());
  }
  return texts;
}

Result<void> checkFields(const json::object& object, const std::vector<std::string_view>& known) {
  for (const auto& field : object) {
    const std::string_view key(field.key().data(), field.key().size());
    if (std::ranges::find(known, key) != known.end()) continue;
    return fail(ErrorCode::InvalidArgument, "there is no field \"" + std::string(key) + "\"");
  }
  return {};
}

Result<ServerResponse> accepted(const service::Desk& desk, Result<service::Accepted> result, DryRun dry_run) {
  if (!result) return fail(std::move(result).error());
  if (dry_run == DryRun::Yes) return answer(planJson(*result));
  const auto book = desk.book();
  const auto operation = book->operations.find(result->operation);
  if (operation == book->operations.end())
    return answer({{"operation", nullptr}, {"plan", planJson(*result)}}, 202);
  return answer({{"operation", operationJson(*operation->second)}, {"plan", planJson(*result)}}, 202);
}

}  // namespace berth::api
