// Calls of the daemon's API with its errors as Errors. Thin: paths and bodies come from requests.h.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "base/error.h"
#include "http/client.h"

namespace berth::cli {

/// Safe from several threads. Every call blocks until its answer, its deadline or a stop.
class ApiClient {
 public:
  /// How long an answer that needs no waiting may take, where the caller set no deadline of its own.
  static constexpr std::chrono::seconds kAnswerWithin{60};
  /// The Error's reason when no daemon answers on the socket, or it went away in the middle of an answer.
  static constexpr std::string_view kUnreachable = "DaemonUnreachable";

  ApiClient(std::string socket, std::stop_token stop, http::Deadline deadline)
      : socket_(std::move(socket)),
        client_(http::UnixEndpoint{socket_}),
        stop_(std::move(stop)),
        deadline_(deadline) {}

  /// The JSON of a 2xx answer. The error an answer with another status carries; Unavailable with the reason
  /// kUnreachable and the way to start the daemon; Timeout; Internal for an answer that is not JSON. `wait`
  /// is how long the daemon was asked to hold the answer back.
  Result<boost::json::value> call(const http::Request& request, std::chrono::seconds wait = {}) const;

  /// A 2xx answer's body as it comes, without end. Errors as `call`.
  Result<void> stream(const http::Request& request, const http::BodySink& sink) const;

  const std::stop_token& stop() const { return stop_; }
  http::Deadline deadline() const { return deadline_; }

 private:
  Error explain(Error error) const;

  std::string socket_;
  http::Client client_;
  std::stop_token stop_;
  http::Deadline deadline_;
};

/// True when the user asked to stop (Ctrl-C), which is no failure by itself.
bool isStopped(const Error& error);

}  // namespace berth::cli
