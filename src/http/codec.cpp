#include "http/codec.h"

#include <array>
#include <charconv>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/text.h"

namespace berth::http {
namespace {

namespace beast_http = boost::beast::http;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

ProtocolError protocolError(const boost::system::error_code& error) {
  if (error == beast_http::error::header_limit) return {431, "the request's headers are too large"};
  if (error == beast_http::error::body_limit) return {413, "the request's body is too large"};
  return {400, "malformed HTTP request: " + error.message()};
}

}  // namespace

std::string_view findHeader(const Headers& headers, std::string_view lower_case_name) {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

struct RequestParser::Impl {
  beast_http::request_parser<beast_http::string_body> parser;
  std::size_t max_header_bytes = 0;
  std::size_t head_bytes = 0;  // Of the head, taken so far.
  bool head_done = false;
  RequestHead head;
  ProtocolError error;

  State failWith(ProtocolError why) {
    error = std::move(why);
    return State::Failed;
  }

  /// Beast's own limit lets a head that arrives whole be somewhat longer; this one is exact.
  State afterHeadPiece(std::size_t used, std::size_t waiting) {
    head_bytes += used;
    const bool whole = parser.is_header_done();
    if (head_bytes + (whole ? 0 : waiting) > max_header_bytes) {
      return failWith(protocolError(beast_http::error::header_limit));
    }
    if (!whole) return State::NeedMore;
    readHead();
    return State::HeadDone;
  }

  void readHead() {
    const auto& message = parser.get();
    head.method = std::string(view(message.method_string()));
    head.target = std::string(view(message.target()));
    head.keep_alive = parser.keep_alive();
    head.http10 = message.version() < 11;
    for (const auto& field : message) {
      head.headers.emplace_back(toLower(view(field.name_string())), std::string(view(field.value())));
    }
    head.expects_continue = toLower(findHeader(head.headers, "expect")) == "100-continue";
    head_done = true;
  }
};

RequestParser::RequestParser(std::size_t max_header_bytes) : impl_(std::make_unique<Impl>()) {
  impl_->max_header_bytes = max_header_bytes;
  impl_->parser.header_limit(static_cast<std::uint32_t>(max_header_bytes));
  impl_->parser.body_limit(boost::none);
}

RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

RequestParser::State RequestParser::feed(std::string& buffer) {
  auto& parser = impl_->parser;
  if (parser.is_done()) return State::Done;
  if (buffer.empty()) return State::NeedMore;
  boost::system::error_code error;
  parser.eager(impl_->head_done);
  const std::size_t used = parser.put(boost::asio::buffer(buffer.data(), buffer.size()), error);
  buffer.erase(0, used);
  if (error && error != beast_http::error::need_more) return impl_->failWith(protocolError(error));
  if (!impl_->head_done) return impl_->afterHeadPiece(used, buffer.size());
  if (parser.is_done()) return State::Done;
  // What waits here is an unfinished line before a chunk or after the last, which Beast does not limit.
  if (buffer.size() > impl_->max_header_bytes)
    return impl_->failWith({400, "a line of the request is too long"});
  return State::NeedMore;
}

const RequestHead& RequestParser::head() const { return impl_->head; }

bool RequestParser::limitBody(std::size_t bytes) {
  impl_->parser.body_limit(bytes);
  // Beast compares a Content-Length with the limit that stood when the head ended.
  const auto announced = impl_->parser.content_length();
  if (!announced || *announced <= bytes) return true;
  impl_->error = protocolError(beast_http::error::body_limit);
  return false;
}

std::string RequestParser::takeBody() { return std::move(impl_->parser.get().body()); }

const ProtocolError& RequestParser::error() const { return impl_->error; }

std::string responseHead(int status, const Headers& headers) {
  const auto reason = beast_http::obsolete_reason(static_cast<beast_http::status>(status));
  std::string head = "HTTP/1.1 " + std::to_string(status) + " ";
  head.append(view(reason)).append("\r\n");
  for (const auto& [name, value] : headers) head.append(name).append(": ").append(value).append("\r\n");
  return head.append("\r\n");
}

std::string chunk(std::string_view bytes) {
  if (bytes.empty()) return {};
  std::array<char, 16> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), bytes.size(), 16);
  std::string framed(digits.data(), end);
  return framed.append("\r\n").append(bytes).append("\r\n");
}

}  // namespace berth::http
