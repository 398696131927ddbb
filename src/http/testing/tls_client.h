// A TLS client for tests: verifies the server against one authority and one name, and sends bytes as told.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct ssl_st;
struct ssl_ctx_st;

namespace berth::http::testing {

class TlsClient {
 public:
  /// Connects to 127.0.0.1. `highest` limits the protocol (TLS1_1_VERSION ...); 0: no limit.
  TlsClient(std::uint16_t port, const std::string& authority_pem, const std::string& host, int highest = 0);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  bool agreed() const { return agreed_; }
  /// Sends, then reads until `text` has come; everything read so far. Ends early with the connection.
  std::string ask(std::string_view bytes, std::string_view text);
  bool send(std::string_view bytes);
  /// True when the server ends the connection as TLS wants it, by its own last message.
  bool endedProperly();

 private:
  int fd_ = -1;
  ssl_ctx_st* context_ = nullptr;
  ssl_st* tls_ = nullptr;
  bool agreed_ = false;
};

}  // namespace berth::http::testing
