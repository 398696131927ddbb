#include "http/testing/tls_client.h"

#include <array>
#include <csignal>

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace berth::http::testing {
namespace {

constexpr time_t kPatienceSeconds = 20;

int connectTo(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{kPatienceSeconds, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;  // On which the handshake fails.
}

void trust(SSL_CTX* context, const std::string& authority_pem) {
  BIO* bio = BIO_new_mem_buf(authority_pem.data(), static_cast<int>(authority_pem.size()));
  X509* authority = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority);
  X509_free(authority);
  BIO_free(bio);
}

}  // namespace

TlsClient::TlsClient(std::uint16_t port, const std::string& authority_pem, const std::string& host,
                     int highest)
    : fd_(connectTo(port)), context_(SSL_CTX_new(TLS_client_method())) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL.
  trust(context_, authority_pem);
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_security_level(context_, 0);  // Old protocols are for the server to refuse.
  tls_ = SSL_new(context_);
  SSL_set_max_proto_version(tls_, highest);
  SSL_set1_host(tls_, host.c_str());
  SSL_set_fd(tls_, fd_);
  agreed_ = SSL_connect(tls_) == 1;
}

TlsClient::~TlsClient() {
  SSL_free(tls_);
  SSL_CTX_free(context_);
  ::close(fd_);
}

bool TlsClient::send(std::string_view bytes) {
  return SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size());
}

std::string TlsClient::ask(std::string_view bytes, std::string_view text) {
  std::string read;
  if (!bytes.empty() && !send(bytes)) return read;
  std::array<char, 4096> piece{};
  while (read.find(text) == std::string::npos) {
    const int got = SSL_read(tls_, piece.data(), static_cast<int>(piece.size()));
    if (got <= 0) break;
    read.append(piece.data(), static_cast<std::size_t>(got));
  }
  return read;
}

bool TlsClient::endedProperly() {
  std::array<char, 4096> piece{};
  int got = 1;
  while (got > 0) got = SSL_read(tls_, piece.data(), static_cast<int>(piece.size()));
  return SSL_get_error(tls_, got) == SSL_ERROR_ZERO_RETURN;
}

}  // namespace berth::http::testing
