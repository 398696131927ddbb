#include "http/client.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <exception>
#include <memory>

#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "base/text.h"

namespace berth::http {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;
using Stream = beast::basic_stream<asio::generic::stream_protocol>;
using Parser = beast::http::response_parser<beast::http::buffer_body>;
using StreamEndpoint = asio::generic::stream_protocol::endpoint;

constexpr std::size_t kPieceBytes = 32 << 10;
constexpr std::size_t kMaxUnixPath = 107;  // sockaddr_un.sun_path less its zero byte.

std::string text(const Endpoint& endpoint) {
  if (const auto* local = std::get_if<UnixEndpoint>(&endpoint)) return local->path;
  const auto& tcp = std::get<TcpEndpoint>(endpoint);
  return tcp.host + ":" + std::to_string(tcp.port);
}

Result<StreamEndpoint> resolve(const Endpoint& endpoint) {
  if (const auto* local = std::get_if<UnixEndpoint>(&endpoint)) {
    if (local->path.empty() || local->path.size() > kMaxUnixPath) {
      return fail(ErrorCode::InvalidArgument, "socket path '" + local->path + "' is empty or longer than " +
                                                  std::to_string(kMaxUnixPath) + " bytes");
    }
    return StreamEndpoint(asio::local::stream_protocol::endpoint(local->path));
  }
  const auto& tcp = std::get<TcpEndpoint>(endpoint);
  error_code ec;
  const auto address = asio::ip::make_address(tcp.host == "localhost" ? "127.0.0.1" : tcp.host, ec);
  if (ec) return fail(ErrorCode::InvalidArgument, "'" + tcp.host + "' is not a numeric address or localhost");
  return StreamEndpoint(asio::ip::tcp::endpoint(address, tcp.port));
}

bool hasControlOrBlank(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c == '\x7f' || (c >= 0 && c <= ' '); });
}

bool isHeaderName(std::string_view name) {
  return !name.empty() && !hasControlOrBlank(name) && name.find(':') == std::string_view::npos;
}

bool hasLineBreak(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

// Text from outside must not be able to write headers or a second request.
Result<void> check(const Request& request) {
  if (request.method.empty() || hasControlOrBlank(request.method)) {
    return fail(ErrorCode::InvalidArgument, "'" + request.method + "' is not an HTTP method");
  }
  if (request.target.empty() || request.target.front() != '/' || hasControlOrBlank(request.target)) {
    return fail(ErrorCode::InvalidArgument, "'" + request.target + "' is not a request target");
  }
  for (const auto& [name, value] : request.headers) {
    if (!isHeaderName(name) || hasLineBreak(value)) {
      return fail(ErrorCode::InvalidArgument, "header '" + name + "' cannot be sent");
    }
  }
  return {};
}

beast::http::request<beast::http::string_body> toMessage(const Request& request, const Endpoint& endpoint) {
  beast::http::request<beast::http::string_body> message;
  message.method_string(request.method);
  message.target(request.target);
  message.version(11);
  for (const auto& [name, value] : request.headers) message.set(name, value);
  const bool local = std::holds_alternative<UnixEndpoint>(endpoint);
  message.set(beast::http::field::host, local ? "localhost" : text(endpoint));
  message.set(beast::http::field::connection, "close");
  message.body() = request.body;
  message.prepare_payload();
  return message;
}

ErrorCode codeOf(const error_code& ec) {
  if (ec == beast::error::timeout) return ErrorCode::Timeout;
  if (ec == asio::error::access_denied || ec == asio::error::no_permission) return ErrorCode::Denied;
  if (ec == beast::http::error::header_limit || ec == beast::http::error::body_limit) return ErrorCode::Io;
  return ErrorCode::Unavailable;
}

std::string explain(const error_code& ec) {
  if (ec == beast::error::timeout) return "no answer before the deadline";
  if (ec == beast::http::error::partial_message || ec == beast::http::error::end_of_stream) {
    return "the connection was closed before the answer was complete";
  }
  if (ec.category() == make_error_code(beast::http::error::bad_version).category()) {
    return "the answer is not proper HTTP: " + ec.message();
  }
  return ec.message();
}

// One connection and one exchange on it. Every step blocks until it is done, the deadline passes or a stop is
// asked for.
class Exchange {
 public:
  Exchange(const Endpoint& endpoint, Deadline deadline, const std::stop_token& stop)
      : name_(text(endpoint)), deadline_(deadline), stop_(stop), stream_(context_), on_stop_(stop_, [this] {
          asio::post(context_, [this] { stream_.cancel(); });
        }) {}

  Result<void> connect(const StreamEndpoint& to) {
    return check(run([&](auto done) { stream_.async_connect(to, std::move(done)); }));
  }

  // A server that refuses a body answers and closes before it has read all of it, so a failed write is only
  // reported when no answer follows.
  Result<void> send(const beast::http::request<beast::http::string_body>& message) {
    const error_code wrote =
        run([&](auto done) { beast::http::async_write(stream_, message, std::move(done)); });
    if (!wrote) return readHeader();
    if (wrote != asio::error::broken_pipe && wrote != asio::error::connection_reset) return check(wrote);
    if (readHeader()) return {};
    return check(wrote);
  }

  Response head() const {
    Response response;
    response.status = static_cast<int>(parser_->get().result_int());
    for (const auto& field : parser_->get()) {
      response.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
    return response;
  }

  // Until the body's end, or until `sink` says false.
  Result<void> readBody(const BodySink& sink) {
    std::array<char, kPieceBytes> piece;
    while (!parser_->is_done()) {
      auto& body = parser_->get().body();
      body.data = piece.data();
      body.size = piece.size();
      error_code ec =
          run([&](auto done) { beast::http::async_read_some(stream_, buffer_, *parser_, std::move(done)); });
      if (ec == beast::http::error::need_buffer) ec = {};
      const std::size_t got = piece.size() - body.size;
      if (got > 0 && !sink(std::string_view(piece.data(), got))) return {};
      TRY_VOID(check(ec));
    }
    return {};
  }

 private:
  Result<void> readHeader() {
    for (int interim = 0; interim <= kMaxInterimResponses; ++interim) {
      parser_ = std::make_unique<Parser>();
      parser_->header_limit(kMaxResponseHeaderBytes);
      parser_->body_limit(boost::none);
      TRY_VOID(check(run(
          [&](auto done) { beast::http::async_read_header(stream_, buffer_, *parser_, std::move(done)); })));
      const unsigned status = parser_->get().result_int();
      if (status < 100)
        return fail(ErrorCode::Unavailable, name_ + ": the answer is not proper HTTP: status");
      if (status >= 200) return {};
    }
    return fail(ErrorCode::Unavailable, name_ + ": only interim answers came");
  }

  // Starts an operation and runs the context until its completion was called.
  template <typename Start>
  error_code run(const Start& start) {
    if (stop_.stop_requested()) return asio::error::operation_aborted;
    if (deadline_ == kNoDeadline) {
      stream_.expires_never();
    } else {
      if (deadline_ <= std::chrono::steady_clock::now()) return beast::error::timeout;
      stream_.expires_at(deadline_);
    }
    error_code result;
    start([&result](const error_code& ec, auto&&...) { result = ec; });
    context_.restart();
    context_.run();
    return result;
  }

  Result<void> check(const error_code& ec) const {
    if (!ec) return {};
    if (stop_.stop_requested()) {
      return fail(Error{ErrorCode::Unavailable, name_ + ": stopped", std::string(Client::kStopped), {}});
    }
    return fail(codeOf(ec), name_ + ": " + explain(ec));
  }

  std::string name_;
  Deadline deadline_;
  std::stop_token stop_;
  asio::io_context context_{1};
  Stream stream_;
  beast::flat_buffer buffer_;
  std::unique_ptr<Parser> parser_;
  std::stop_callback<std::function<void()>> on_stop_;  // Last: it uses the ones above until it is gone.
};

BodySink collectInto(std::string& body, bool& too_large) {
  return [&body, &too_large](std::string_view bytes) {
    too_large = bytes.size() > kMaxResponseBytes - body.size();
    if (!too_large) body.append(bytes);
    return !too_large;
  };
}

Result<Response> exchange(const Endpoint& endpoint, const Request& request, Deadline deadline,
                          const std::stop_token& stop, const BodySink* sink) {
  TRY_VOID(check(request));
  TRY(const auto to, resolve(endpoint));
  Exchange exchange(endpoint, deadline, stop);
  TRY_VOID(exchange.connect(to));
  TRY_VOID(exchange.send(toMessage(request, endpoint)));
  Response response = exchange.head();
  if (request.method == "HEAD") return response;
  const bool succeeded = response.status >= 200 && response.status < 300;
  if (sink != nullptr && succeeded) {
    TRY_VOID(exchange.readBody(*sink));
    return response;
  }
  bool too_large = false;
  TRY_VOID(exchange.readBody(collectInto(response.body, too_large)));
  if (too_large) {
    return fail(ErrorCode::Io, text(endpoint) + ": the answer is larger than " +
                                   std::to_string(kMaxResponseBytes) + " bytes");
  }
  return response;
}

// Asio throws where it cannot make a descriptor or a timer.
Result<Response> guarded(const Endpoint& endpoint, const Request& request, Deadline deadline,
                         const std::stop_token& stop, const BodySink* sink) {
  try {
    return exchange(endpoint, request, deadline, stop, sink);
  } catch (const boost::system::system_error& error) {
    return fail(ErrorCode::Io, text(endpoint) + ": " + error.what());
  }
}

}  // namespace

std::optional<std::string_view> Response::header(std::string_view name) const {
  const std::string wanted = toLower(name);
  for (const auto& [key, value] : headers) {
    if (toLower(key) == wanted) return value;
  }
  return std::nullopt;
}

Result<Response> Client::request(const Request& request, Deadline deadline) const {
  return guarded(endpoint_, request, deadline, std::stop_token{}, nullptr);
}

Result<Response> Client::stream(const Request& request, Deadline deadline, const std::stop_token& stop,
                                const BodySink& sink) const {
  return guarded(endpoint_, request, deadline, stop, &sink);
}

std::string percentEncode(std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter || (c >= '0' && c <= '9') || std::string_view("-._~").find(c) != std::string_view::npos) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kHex[byte >> 4U];
    encoded += kHex[byte & 15U];
  }
  return encoded;
}

}  // namespace berth::http
