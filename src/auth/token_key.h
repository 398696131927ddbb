// Bearer tokens: JWTs (RFC 7519) signed with this device's RSA key, by libjwt.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"

namespace berth::auth {

/// What a token says. Times are whole seconds.
struct Claims {
  std::string account;  // Its name.
  std::string client_id;
  std::int64_t generation = 0;  // Of the account's secret.
  std::string issuer;           // "https://login.box/adfs"
  std::string audience;
  std::string tenant;
  std::chrono::system_clock::time_point issued;
  std::chrono::system_clock::time_point expires;
  bool operator==(const Claims&) const = default;
};

/// Immutable; safe from every thread.
class TokenKey {
 public:
  /// The key in `file` (PEM, mode 0600), made there when there is none. Corrupt: the file holds no RSA key.
  /// Io, Denied from the kernel.
  static Result<TokenKey> load(const std::filesystem::path& file);
  /// A key that is kept nowhere.
  static Result<TokenKey> make();

  /// The token. Internal: libjwt refused.
  Result<std::string> sign(const Claims& claims) const;
  /// What a token says, whether or not it has expired. Denied: it is no token, was not signed with this key
  /// by RS256, or says less than sign() puts in.
  Result<Claims> verify(const std::string& token) const;

  /// The public half as a JSON Web Key Set (RFC 7517).
  std::string keySet() const;
  const std::string& publicPem() const { return public_pem_; }

 private:
  static Result<TokenKey> fromPem(std::string pem);
  std::string private_pem_;
  std::string public_pem_;
  std::string id_;
  std::string modulus_;   // base64url
  std::string exponent_;  // base64url
};

}  // namespace berth::auth
