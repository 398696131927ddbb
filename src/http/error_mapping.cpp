#include "http/error_mapping.h"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include <boost/json.hpp>

namespace berth::http {
namespace {

namespace json = boost::json;

struct Row {
  ErrorCode code;
  int http_status;
  ExitStatus exit_status;
};

constexpr std::array<Row, kErrorCodes> kTable{{
    {ErrorCode::InvalidArgument, 400, ExitStatus::Usage},
    {ErrorCode::NotFound, 404, ExitStatus::Failed},
    {ErrorCode::Conflict, 409, ExitStatus::Failed},
    {ErrorCode::Refused, 409, ExitStatus::Refused},
    {ErrorCode::Denied, 403, ExitStatus::Failed},
    {ErrorCode::Unavailable, 503, ExitStatus::Failed},
    {ErrorCode::Timeout, 504, ExitStatus::Failed},
    {ErrorCode::Corrupt, 500, ExitStatus::Failed},
    {ErrorCode::Io, 500, ExitStatus::Failed},
    {ErrorCode::Internal, 500, ExitStatus::Failed},
}};

constexpr bool isIndexedByCode() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].code) != i) return false;
  }
  return true;
}
static_assert(isIndexedByCode(), "kTable has one row for each ErrorCode, in its order");

const Row& rowOf(ErrorCode code) { return kTable.at(static_cast<std::size_t>(code)); }

std::string stringAt(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return {};
  return std::string(value->get_string());
}

std::vector<ErrorDetail> detailsOf(const json::object& object) {
  const json::value* value = object.if_contains("details");
  if (value == nullptr || !value->is_array()) return {};
  std::vector<ErrorDetail> details;
  for (const json::value& item : value->get_array()) {
    const json::object* detail = item.if_object();
    if (detail == nullptr) continue;
    details.push_back(
        {stringAt(*detail, "target"), stringAt(*detail, "message"), stringAt(*detail, "remedy")});
  }
  return details;
}

}  // namespace

int httpStatus(ErrorCode code) { return rowOf(code).http_status; }

ExitStatus exitStatus(ErrorCode code) { return rowOf(code).exit_status; }

json::object toJson(const Error& error) {
  json::array details;
  for (const ErrorDetail& detail : error.details) {
    details.push_back(
        json::object{{"target", detail.target}, {"message", detail.message}, {"remedy", detail.remedy}});
  }
  return json::object{{"code", name(error.code)},
                      {"reason", error.reason},
                      {"message", error.message},
                      {"details", std::move(details)}};
}

json::object toErrorBody(const Error& error) { return json::object{{"error", toJson(error)}}; }

std::optional<Error> errorFromJson(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return std::nullopt;
  if (const json::value* inner = object->if_contains("error")) object = inner->if_object();
  if (object == nullptr) return std::nullopt;
  const json::value* code = object->if_contains("code");
  if (code == nullptr || !code->is_string()) return std::nullopt;
  return Error{errorCodeFromName(stringAt(*object, "code")), stringAt(*object, "message"),
               stringAt(*object, "reason"), detailsOf(*object)};
}

}  // namespace berth::http
