// Reading small JSON bodies and answering with JSON: what the handlers of all routes share.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "http/exchange.h"
#include "service/service.h"

namespace berth::api {

Result<http::ServerResponse> answer(const boost::json::value& body, int status = 200);
/// 200 with the plan of a dry run, 202 with the operation of the real thing.
Result<http::ServerResponse> accepted(const service::Desk& desk, Result<service::Accepted> result,
                                      service::DryRun dry_run);

Result<service::DryRun> dryRun(const http::ServerRequest& request);

/// A JSON object of a small body; an empty body is an empty object.
Result<boost::json::object> bodyObject(const http::ServerRequest& request);

/// InvalidArgument: "KEY" must be TYPE.
Error wrongType(std::string_view key, std::string_view type);

// One field of it. InvalidArgument: missing or of another type; null counts as missing.
Result<std::optional<std::string>> optionalText(const boost::json::object& object, std::string_view key);
Result<std::string> requiredText(const boost::json::object& object, std::string_view key);
Result<bool> flagOf(const boost::json::object& object, std::string_view key);
Result<std::optional<std::int64_t>> optionalNumber(const boost::json::object& object, std::string_view key);
Result<std::vector<std::string>> textsOf(const boost::json::object& object, std::string_view key);
/// InvalidArgument: the object has a field that is not in `known`.
Result<void> checkFields(const boost::json::object& object, const std::vector<std::string_view>& known);

}  // namespace berth::api
