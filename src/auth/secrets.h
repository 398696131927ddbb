// Passwords and other secrets: made from the system's random numbers, kept as Argon2id (RFC 9106) only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace berth::auth {

/// What guessing one password costs. The default is OWASP's: some 30 ms and 19 MiB.
struct HashCost {
  std::uint32_t passes = 2;
  std::uint32_t memory_kib = 19 * 1024;
};

/// `bytes` random bytes as base64url without padding. Internal: the system has none to give.
Result<std::string> randomText(std::size_t bytes);
/// A random UUID, version 4.
Result<std::string> randomUuid();

/// The PHC string "$argon2id$v=19$...". Takes the time it costs. Internal: no memory or no random numbers.
Result<std::string> hashSecret(std::string_view secret, const HashCost& cost = {});
/// Takes as long as making the hash did. False for what is no hash.
bool matches(const std::string& hash, std::string_view secret);

/// base64url without padding (RFC 4648 5).
std::string base64Url(std::string_view bytes);

}  // namespace berth::auth
