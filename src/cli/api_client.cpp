#include "cli/api_client.h"

#include <algorithm>
#include <utility>

#include <boost/json.hpp>

#include "http/error_mapping.h"

namespace berth::cli {
namespace {

namespace json = boost::json;

bool isSuccess(int status) { return status >= 200 && status < 300; }

Error errorOf(const http::Response& response) {
  boost::system::error_code failed;
  const json::value body = json::parse(response.body, failed);
  if (!failed) {
    if (std::optional<Error> error = http::errorFromJson(body)) return *std::move(error);
  }
  return {ErrorCode::Internal,
          "the daemon answered with status " + std::to_string(response.status) + " and no reason",
          {},
          {}};
}

}  // namespace

bool isStopped(const Error& error) { return error.reason == http::Client::kStopped; }

// Only transport errors come here: an answer of the daemon's is one whatever it says.
Error ApiClient::explain(Error error) const {
  if (isStopped(error)) return error;
  if (error.code == ErrorCode::Denied) {
    error.details = {{socket_, "only root and the members of the socket's group may use it",
                      "become one of them, or run this as root"}};
    return error;
  }
  if (error.code != ErrorCode::Unavailable) return error;
  error.message = "the daemon does not answer on " + error.message;
  error.reason = kUnreachable;
  error.details = {
      {socket_, "start the daemon with: systemctl start berthd", "or by hand: berthd --socket " + socket_}};
  return error;
}

Result<json::value> ApiClient::call(const http::Request& request, std::chrono::seconds wait) const {
  std::string body;
  bool too_large = false;
  const http::BodySink collect = [&](std::string_view bytes) {
    too_large = bytes.size() > http::kMaxResponseBytes - body.size();
    if (!too_large) body.append(bytes);
    return !too_large;
  };
  const auto deadline = std::min(deadline_, std::chrono::steady_clock::now() + wait + kAnswerWithin);
  const Result<http::Response> response = client_.stream(request, deadline, stop_, collect);
  if (!response) return fail(explain(response.error()));
  if (!isSuccess(response->status)) return fail(errorOf(*response));
  if (too_large) return fail(ErrorCode::Io, "the daemon's answer is too large");
  boost::system::error_code failed;
  json::value value = json::parse(body, failed);
  if (failed) return fail(ErrorCode::Internal, "the daemon's answer is not JSON: " + failed.message());
  return value;
}

Result<void> ApiClient::stream(const http::Request& request, const http::BodySink& sink) const {
  const Result<http::Response> response = client_.stream(request, deadline_, stop_, sink);
  if (!response) return fail(explain(response.error()));
  if (!isSuccess(response->status)) return fail(errorOf(*response));
  return {};
}

}  // namespace berth::cli
