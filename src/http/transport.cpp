#include "http/transport.h"

#include <cerrno>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

namespace berth::http {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using ErrorCodeOfAsio = boost::system::error_code;

// Forward secrecy and authenticated encryption; TLS 1.3 has nothing else.
constexpr const char* kCiphersOfTls12 = "ECDHE+AESGCM:ECDHE+CHACHA20";

/// OpenSSL's reason for what failed last.
std::string opensslReason() {
  const unsigned long code = ERR_get_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return reason == nullptr ? "unknown reason" : reason;
}

ssize_t peek(int fd) {
  char byte = 0;
  return ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

}  // namespace

struct TlsContext::Impl {
  asio::ssl::context context{asio::ssl::context::tls_server};
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::make(const std::string& certificate_pem,
                                                     const std::string& key_pem) {
  auto impl = std::make_unique<Impl>();
  SSL_CTX* native = impl->context.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  ERR_clear_error();
  if (SSL_CTX_set_cipher_list(native, kCiphersOfTls12) != 1) {
    return fail(ErrorCode::Internal, "OpenSSL has none of our ciphers: " + opensslReason());
  }
  ErrorCodeOfAsio error;
  error = impl->context.use_certificate_chain(asio::buffer(certificate_pem), error);
  if (error)
    return fail(ErrorCode::InvalidArgument, "the TLS certificate cannot be read: " + error.message());
  error = impl->context.use_private_key(asio::buffer(key_pem), asio::ssl::context::pem, error);
  if (error) return fail(ErrorCode::InvalidArgument, "the TLS key cannot be used: " + error.message());
  if (SSL_CTX_check_private_key(native) != 1) {
    return fail(ErrorCode::InvalidArgument, "the TLS key is not the certificate's: " + opensslReason());
  }
  return std::shared_ptr<TlsContext>(new TlsContext(std::move(impl)));
}

struct Transport::Tls {
  Tls(Socket& socket, asio::ssl::context& context) : stream(socket, context) {}
  asio::ssl::stream<Socket&> stream;
};

Transport::Transport(asio::io_context& io, os::UniqueFd client, int family, std::shared_ptr<TlsContext> tls)
    : socket_(io, asio::generic::stream_protocol(family, 0), client.release()), context_(std::move(tls)) {
  if (context_) tls_ = std::make_unique<Tls>(socket_, context_->impl().context);
}

Transport::~Transport() = default;

awaitable<bool> Transport::handshake() {
  if (!tls_) co_return true;
  ErrorCodeOfAsio error;
  co_await tls_->stream.async_handshake(asio::ssl::stream_base::server, redirect_error(use_awaitable, error));
  co_return !error;
}

awaitable<std::size_t> Transport::readSome(asio::mutable_buffer into) {
  ErrorCodeOfAsio error;
  std::size_t got = 0;
  if (tls_) {
    got = co_await tls_->stream.async_read_some(into, redirect_error(use_awaitable, error));
  } else {
    got = co_await socket_.async_read_some(into, redirect_error(use_awaitable, error));
  }
  co_return error ? 0 : got;
}

awaitable<std::size_t> Transport::writeSome(asio::const_buffer from) {
  ErrorCodeOfAsio error;
  std::size_t sent = 0;
  if (tls_) {
    sent = co_await tls_->stream.async_write_some(from, redirect_error(use_awaitable, error));
  } else {
    sent = co_await socket_.async_write_some(from, redirect_error(use_awaitable, error));
  }
  co_return error ? 0 : sent;
}

awaitable<void> Transport::sayGoodbye() {
  if (!tls_ || !socket_.is_open()) co_return;
  ErrorCodeOfAsio ignored;
  co_await tls_->stream.async_shutdown(redirect_error(use_awaitable, ignored));
}

void Transport::shutdownSending() {
  ErrorCodeOfAsio ignored;
  ignored = socket_.shutdown(Socket::shutdown_send, ignored);
}

void Transport::close() {
  ErrorCodeOfAsio ignored;
  ignored = socket_.close(ignored);
}

bool Transport::ended() {
  pollfd state{socket_.native_handle(), POLLRDHUP, 0};
  if (tls_ && ::poll(&state, 1, 0) == 1) return true;
  const ssize_t waiting = peek(socket_.native_handle());
  return waiting == 0 || (waiting < 0 && errno != EAGAIN);
}

bool Transport::hasBytes() { return peek(socket_.native_handle()) > 0; }

}  // namespace berth::http
