#include "http/dispatch.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <boost/json.hpp>
#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include "base/log.h"
#include "http/error_mapping.h"

namespace berth::http {
namespace {

void logThrown(const ServerRequest& request, const std::string& what) {
  log(LogLevel::Error, "a handler threw",
      {{"method", request.method}, {"path", request.path}, {"id", request.id}, {"what", what}});
}

/// Runs `call`; what it throws is logged and returned as Internal.
template <typename Call>
auto guarded(const ServerRequest& request, Call call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& thrown) {
    logThrown(request, thrown.what());
  } catch (...) {
    logThrown(request, "not an exception");
  }
  return fail(ErrorCode::Internal, "internal error; the log has more under request id " + request.id);
}

/// The answer to who is nobody: 401 and how to become somebody (RFC 6750).
ServerResponse whoAreYou(const Error& error) {
  ServerResponse response = errorResponse(401, error);
  response.headers.emplace_back("www-authenticate", "Bearer error=\"invalid_token\"");
  return response;
}

Result<ServerResponse> run(const Route& route, const Authenticator& authenticator, const Peer& peer,
                           ServerRequest& request) {
  if (route.role == Role::Anyone) {
    request.principal = {"anyone", Role::Anyone};
    return route.handler(request);
  }
  Result<Principal> principal = authenticator.authenticate(peer, request.headers);
  if (!principal && principal.error().code == ErrorCode::Denied) return whoAreYou(principal.error());
  TRY(request.principal, std::move(principal));
  if (request.principal.role < route.role) {
    return fail(ErrorCode::Denied, request.principal.name + " is " +
                                       std::string(name(request.principal.role)) + "; this needs " +
                                       std::string(name(route.role)));
  }
  return route.handler(request);
}

}  // namespace

ServerResponse errorResponse(const Error& error) { return errorResponse(httpStatus(error.code), error); }

ServerResponse errorResponse(int status, const Error& error) {
  ServerResponse response;
  response.status = status;
  response.body = boost::json::serialize(toErrorBody(error));
  return response;
}

ServerResponse unroutedResponse(const Match& match, const ServerRequest& request) {
  if (match.allowed.empty()) {
    return errorResponse(Error{ErrorCode::NotFound, "no such path: " + request.path, {}, {}});
  }
  ServerResponse response = errorResponse(
      405, Error{ErrorCode::InvalidArgument, request.path + " does not take " + request.method, {}, {}});
  response.headers.emplace_back("allow", match.allowed);
  return response;
}

ServerResponse dispatch(const Route& route, const Authenticator& authenticator, const Peer& peer,
                        ServerRequest& request) {
  Result<ServerResponse> response =
      guarded(request, [&] { return run(route, authenticator, peer, request); });
  if (!response) return errorResponse(response.error());
  return *std::move(response);
}

void runStream(const ServerRequest& request, const BodyStream& stream, BodyWriter& writer) {
  // The status is sent already: a body that breaks off is all that can be told.
  static_cast<void>(guarded(request, [&]() -> Result<void> {
    stream(writer);
    return {};
  }));
}

std::string newRequestId() {
  thread_local boost::uuids::random_generator_pure generator;
  return boost::uuids::to_string(generator());
}

std::string correlationId(const Headers& headers, std::string_view fallback) {
  constexpr std::size_t kMaxLength = 64;
  const std::string_view given = findHeader(headers, "x-ms-correlation-request-id");
  const bool plain = std::ranges::all_of(given, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
  return std::string(plain && !given.empty() && given.size() <= kMaxLength ? given : fallback);
}

}  // namespace berth::http
