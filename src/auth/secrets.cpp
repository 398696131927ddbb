#include "auth/secrets.h"

#include <array>
#include <cstdio>

#include <argon2.h>
#include <openssl/rand.h>

namespace berth::auth {
namespace {

constexpr std::size_t kSaltBytes = 16;
constexpr std::size_t kHashBytes = 32;
constexpr std::uint32_t kLanes = 1;
constexpr std::size_t kUuidBytes = 16;

Result<std::string> randomBytes(std::size_t count) {
  std::string bytes(count, '\0');
  auto* data = reinterpret_cast<unsigned char*>(bytes.data());
  if (RAND_bytes(data, static_cast<int>(count)) == 1) return bytes;
  return fail(ErrorCode::Internal, "the system has no random numbers");
}

}  // namespace

std::string base64Url(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  constexpr unsigned kBitsEach = 6;
  std::string text;
  unsigned held = 0;
  unsigned bits = 0;
  for (const char byte : bytes) {
    held = (held << 8U) | static_cast<unsigned char>(byte);
    for (bits += 8; bits >= kBitsEach; bits -= kBitsEach) text += kDigits[(held >> (bits - kBitsEach)) & 63U];
  }
  if (bits > 0) text += kDigits[(held << (kBitsEach - bits)) & 63U];
  return text;
}

Result<std::string> randomText(std::size_t bytes) {
  TRY(const std::string random, randomBytes(bytes));
  return base64Url(random);
}

Result<std::string> randomUuid() {
  TRY(std::string bytes, randomBytes(kUuidBytes));
  bytes[6] = static_cast<char>((static_cast<unsigned char>(bytes[6]) & 0x0fU) | 0x40U);
  bytes[8] = static_cast<char>((static_cast<unsigned char>(bytes[8]) & 0x3fU) | 0x80U);
  std::string text;
  for (std::size_t i = 0; i < kUuidBytes; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x",
                  static_cast<unsigned>(static_cast<unsigned char>(bytes[i])));
    text += digits.data();
  }
  return text;
}

Result<std::string> hashSecret(std::string_view secret, const HashCost& cost) {
  TRY(const std::string salt, randomBytes(kSaltBytes));
  const std::size_t size =
      argon2_encodedlen(cost.passes, cost.memory_kib, kLanes, kSaltBytes, kHashBytes, Argon2_id);
  std::string encoded(size, '\0');
  const int failed =
      argon2id_hash_encoded(cost.passes, cost.memory_kib, kLanes, secret.data(), secret.size(), salt.data(),
                            salt.size(), kHashBytes, encoded.data(), encoded.size());
  if (failed != ARGON2_OK)
    return fail(ErrorCode::Internal, std::string("argon2: ") + argon2_error_message(failed));
  encoded.resize(encoded.find('\0'));
  return encoded;
}

bool matches(const std::string& hash, std::string_view secret) {
  return argon2id_verify(hash.c_str(), secret.data(), secret.size()) == ARGON2_OK;
}

}  // namespace berth::auth
