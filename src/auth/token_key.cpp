#include "auth/token_key.h"

#include <cstdlib>
#include <utility>

#include <boost/json.hpp>
#include <jwt.h>
#include <openssl/core_names.h>
#include <openssl/sha.h>

#include "auth/secrets.h"
#include "os/files.h"
#include "tls/openssl_handles.h"

namespace berth::auth {
namespace {

namespace json = boost::json;

constexpr unsigned kKeyBits = 2048;
constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr std::size_t kMaxKeyBytes = 16384;

using Token = std::unique_ptr<jwt_t, tls::Freed<jwt_free>>;
using CText = std::unique_ptr<char, tls::Freed<std::free>>;

const unsigned char* bytesOf(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::int64_t seconds(std::chrono::system_clock::time_point when) {
  return std::chrono::duration_cast<std::chrono::seconds>(when.time_since_epoch()).count();
}

std::chrono::system_clock::time_point timeOf(std::int64_t seconds) {
  return std::chrono::system_clock::time_point(std::chrono::seconds(seconds));
}

json::object toJson(const Claims& claims) {
  return {{"iss", claims.issuer},          {"aud", claims.audience},        {"sub", claims.account},
          {"tid", claims.tenant},          {"appid", claims.client_id},     {"unique_name", claims.account},
          {"gen", claims.generation},      {"iat", seconds(claims.issued)}, {"nbf", seconds(claims.issued)},
          {"exp", seconds(claims.expires)}};
}

std::optional<std::string> textAt(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return std::string(value->get_string());
}

std::optional<std::int64_t> numberAt(const json::object& object, std::string_view key) {
  // A time of more digits than this is past what a clock can hold.
  constexpr std::int64_t kMost = 9'000'000'000;
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_int64() || value->get_int64() < 0 || value->get_int64() > kMost) {
    return std::nullopt;
  }
  return value->get_int64();
}

std::optional<Claims> claimsFrom(const json::object& object) {
  const auto account = textAt(object, "sub");
  const auto generation = numberAt(object, "gen");
  const auto issued = numberAt(object, "iat");
  const auto expires = numberAt(object, "exp");
  if (!account || !generation || !issued || !expires) return std::nullopt;
  return Claims{*account,
                textAt(object, "appid").value_or(""),
                *generation,
                textAt(object, "iss").value_or(""),
                textAt(object, "aud").value_or(""),
                textAt(object, "tid").value_or(""),
                timeOf(*issued),
                timeOf(*expires)};
}

std::string bigNumber(EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  EVP_PKEY_get_bn_param(key, name, &raw);
  const tls::BigNumber number(raw);
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number.get())), '\0');
  BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  return base64Url(bytes);
}

std::string fingerprint(const std::string& text) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(bytesOf(text), text.size(), reinterpret_cast<unsigned char*>(digest.data()));
  return base64Url(digest);
}

Error denied(const std::string& message) {
  return Error{ErrorCode::Denied, message, "InvalidAuthenticationToken", {}};
}

Result<std::string> newPem() {
  const tls::PrivateKey key(EVP_RSA_gen(kKeyBits));
  const tls::Bio bio(BIO_new(BIO_s_mem()));
  if (!key || PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return fail(tls::opensslError(ErrorCode::Internal, "making a key for tokens"));
  }
  return tls::textOf(bio.get());
}

}  // namespace

Result<TokenKey> TokenKey::fromPem(std::string pem) {
  const tls::PrivateKey key(PEM_read_bio_PrivateKey(tls::reading(pem).get(), nullptr, nullptr, nullptr));
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) {
    return fail(tls::opensslError(ErrorCode::Corrupt, "reading the tokens' RSA key"));
  }
  const tls::Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PUBKEY(bio.get(), key.get());
  TokenKey made;
  made.private_pem_ = std::move(pem);
  made.public_pem_ = tls::textOf(bio.get());
  made.modulus_ = bigNumber(key.get(), OSSL_PKEY_PARAM_RSA_N);
  made.exponent_ = bigNumber(key.get(), OSSL_PKEY_PARAM_RSA_E);
  made.id_ = fingerprint(made.public_pem_);
  return made;
}

Result<TokenKey> TokenKey::make() {
  TRY(std::string pem, newPem());
  return fromPem(std::move(pem));
}

Result<TokenKey> TokenKey::load(const std::filesystem::path& file) {
  Result<std::string> pem = os::readFile(file, kMaxKeyBytes);
  if (pem) return fromPem(*std::move(pem)).during(file.string());
  if (pem.error().code != ErrorCode::NotFound) return fail(pem.error());
  TRY(std::string fresh, newPem());
  TRY_VOID(os::ensureDirectory(file.parent_path(), kFolderMode));
  TRY_VOID(os::writeFileAtomically(file, fresh, kFileMode));
  return fromPem(std::move(fresh));
}

Result<std::string> TokenKey::sign(const Claims& claims) const {
  jwt_t* raw = nullptr;
  if (jwt_new(&raw) != 0) return fail(ErrorCode::Internal, "libjwt makes no token");
  const Token token(raw);
  const std::string body = json::serialize(toJson(claims));
  const bool filled =
      jwt_add_grants_json(raw, body.c_str()) == 0 && jwt_add_header(raw, "kid", id_.c_str()) == 0 &&
      jwt_set_alg(raw, JWT_ALG_RS256, bytesOf(private_pem_), static_cast<int>(private_pem_.size())) == 0;
  const CText text(filled ? jwt_encode_str(raw) : nullptr);
  if (!text) return fail(ErrorCode::Internal, "libjwt signs no token");
  return std::string(text.get());
}

Result<Claims> TokenKey::verify(const std::string& token) const {
  jwt_t* raw = nullptr;
  const int failed =
      jwt_decode(&raw, token.c_str(), bytesOf(public_pem_), static_cast<int>(public_pem_.size()));
  const Token decoded(raw);
  // The token itself says how it is signed, and the public key is no secret: only our own way counts.
  if (failed != 0 || jwt_get_alg(raw) != JWT_ALG_RS256) return fail(denied("the token was not signed here"));
  const CText text(jwt_get_grants_json(raw, nullptr));
  boost::system::error_code error;
  const json::value body = text ? json::parse(text.get(), error) : json::value();
  const auto claims = !error && body.is_object() ? claimsFrom(body.get_object()) : std::nullopt;
  if (!claims) return fail(denied("the token does not say who it is for"));
  return *claims;
}

std::string TokenKey::keySet() const {
  const json::object key{{"kty", "RSA"}, {"use", "sig"},  {"alg", "RS256"},
                         {"kid", id_},   {"n", modulus_}, {"e", exponent_}};
  return json::serialize(json::object{{"keys", json::array{key}}});
}

}  // namespace berth::auth
