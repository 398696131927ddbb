// Certificates of our own making (RFC 5280): an authority for this device and, signed by it, the server's.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"

namespace berth::tls {

inline constexpr std::chrono::days kAuthorityLife{3650};
/// What browsers and Apple's systems take at most is 825.
inline constexpr std::chrono::days kServerLife{820};
/// A server certificate that ends sooner than this is made anew.
inline constexpr std::chrono::days kRenewBefore{90};

/// A certificate and its private key, both PEM.
struct KeyPair {
  std::string certificate_pem;
  std::string key_pem;
};

/// Whom a server's certificate is for.
struct SubjectNames {
  std::vector<std::string> dns;        // "management.box", "*.blob.box"
  std::vector<std::string> addresses;  // "127.0.0.1", "::1"
};

using WallTime = std::chrono::system_clock::time_point;

/// A self-signed authority (P-256) that may sign servers and nothing further. Internal: OpenSSL refused.
Result<KeyPair> makeAuthority(const std::string& common_name, WallTime now);

/// A server's certificate (P-256) for all of `names`, which are not empty. InvalidArgument: a name or address
/// that is none, or an authority that is none.
Result<KeyPair> issueServer(const KeyPair& authority, const SubjectNames& names, WallTime now);

/// True when `certificate` is for all of `names`, was signed by `authority` and is good from now on for at
/// least kRenewBefore. False for what is no certificate.
bool stillServes(const std::string& certificate_pem, const std::string& authority_pem,
                 const SubjectNames& names, WallTime now);

}  // namespace berth::tls
