#include "auth/token_key.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>
#include <jwt.h>

#include "auth/secrets.h"
#include "http/testing/temp_dir.h"
#include "os/files.h"

namespace berth::auth {
namespace {

const std::chrono::system_clock::time_point kNow(std::chrono::hours(24 * 365 * 56));

Claims claims() {
  return {"ci",
          "id",
          3,
          "https://login.box/adfs",
          "https://management.box/",
          "t",
          kNow,
          kNow + std::chrono::hours(1)};
}

const TokenKey& key() {
  static const TokenKey kKey = *TokenKey::make();
  return kKey;
}

/// A token with the same words, signed as a forger can who knows the public key.
std::string forged(jwt_alg_t algorithm, const std::string& secret) {
  jwt_t* token = nullptr;
  jwt_new(&token);
  jwt_add_grants_json(token, R"({"sub":"ci","appid":"id","gen":3,"iat":1700000000,"exp":9000000000})");
  const auto* bytes = secret.empty() ? nullptr : reinterpret_cast<const unsigned char*>(secret.data());
  jwt_set_alg(token, algorithm, bytes, static_cast<int>(secret.size()));
  char* text = jwt_encode_str(token);
  std::string copy = text == nullptr ? "" : text;
  std::free(text);
  jwt_free(token);
  return copy;
}

TEST(TokenKeyTest, ATokenSaysWhatWasSigned) {
  const auto token = key().sign(claims());
  ASSERT_TRUE(token) << token.error().message;
  const auto said = key().verify(*token);
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_EQ(*said, claims());
}

TEST(TokenKeyTest, ATokenOfAnotherKeyIsRefused) {
  const auto other = TokenKey::make();
  ASSERT_TRUE(other);
  const auto token = other->sign(claims());
  ASSERT_TRUE(token);
  EXPECT_EQ(key().verify(*token).error().code, ErrorCode::Denied);
}

TEST(TokenKeyTest, ATokenSignedWithThePublicKeyAsASecretOrNotAtAllIsRefused) {
  const std::string by_public_key = forged(JWT_ALG_HS256, key().publicPem());
  ASSERT_FALSE(by_public_key.empty());
  EXPECT_FALSE(key().verify(by_public_key));
  const std::string unsigned_token = forged(JWT_ALG_NONE, "");
  ASSERT_FALSE(unsigned_token.empty());
  EXPECT_FALSE(key().verify(unsigned_token));
}

TEST(TokenKeyTest, AnyChangedOrMissingCharacterVoidsAToken) {
  const auto token = key().sign(claims());
  ASSERT_TRUE(token);
  for (std::size_t i = 0; i < token->size(); i += 7) {
    std::string changed = *token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    // The last character of a part may hold bits that mean nothing.
    if (i + 1 == token->size() || (*token)[i + 1] == '.') continue;
    EXPECT_FALSE(key().verify(changed)) << i;
    EXPECT_FALSE(key().verify(token->substr(0, i))) << i;
  }
  for (const char* text : {"", ".", "..", "a.b.c", "e30.e30.", "\x01"})
    EXPECT_FALSE(key().verify(text)) << text;
}

TEST(TokenKeyTest, TheKeyIsKeptForTheDaemonAlone) {
  const http::testing::TempDir dir;
  const std::filesystem::path file = dir.at("auth") + "/token.key";
  const auto first = TokenKey::load(file);
  ASSERT_TRUE(first) << first.error().message;
  const auto again = TokenKey::load(file);
  ASSERT_TRUE(again);
  EXPECT_EQ(first->publicPem(), again->publicPem());
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600));
  ASSERT_TRUE(os::writeFileAtomically(file, "torn", 0600));
  EXPECT_EQ(TokenKey::load(file).error().code, ErrorCode::Corrupt);
}

}  // namespace
}  // namespace berth::auth
