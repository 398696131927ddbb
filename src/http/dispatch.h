// From a request to its response, without any transport: authentication, role, handler, errors.
#pragma once

#include "http/authenticator.h"
#include "http/exchange.h"
#include "http/router.h"

namespace berth::http {

/// The response to a request that failed with `error`, with the status of error_mapping.h or another.
ServerResponse errorResponse(const Error& error);
ServerResponse errorResponse(int status, const Error& error);

/// The response to a path or method that the table does not have: 404, or 405 with Allow.
ServerResponse unroutedResponse(const Match& match, const ServerRequest& request);

/// Authenticates, checks the role and runs the route's handler; fills in request.principal. What a handler
/// throws is logged and becomes Internal.
ServerResponse dispatch(const Route& route, const Authenticator& authenticator, const Peer& peer,
                        ServerRequest& request);

/// Runs a response's stream; what it throws is logged and ends the body.
void runStream(const ServerRequest& request, const BodyStream& stream, BodyWriter& writer);

/// What x-ms-correlation-request-id says, where it is letters, digits and dashes and not long; else
/// `fallback`.
std::string correlationId(const Headers& headers, std::string_view fallback);

/// A random UUID (RFC 9562, version 4) for x-ms-request-id.
std::string newRequestId();

}  // namespace berth::http
