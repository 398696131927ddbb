#include "tls/certificates.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "tls/openssl_handles.h"

namespace berth::tls {
namespace {

constexpr int kVersion3 = 2;
constexpr int kSerialBits = 127;
// Clients whose clock is somewhat behind take a new certificate too.
constexpr std::chrono::hours kBackdated{24};
constexpr std::string_view kWildcard = "*.";

Error openssl(std::string_view action) { return opensslError(ErrorCode::Internal, action); }

Result<PrivateKey> newKey() {
  PrivateKey key(EVP_EC_gen("P-256"));
  if (!key) return fail(openssl("making a key"));
  return key;
}

Result<std::string> keyText(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return fail(openssl("writing a key"));
  }
  return textOf(bio.get());
}

Result<std::string> certificateText(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return fail(openssl("writing a certificate"));
  return textOf(bio.get());
}

Result<Certificate> readCertificate(std::string_view pem) {
  Certificate certificate(PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr));
  if (!certificate) return fail(opensslError(ErrorCode::InvalidArgument, "reading a certificate"));
  return certificate;
}

Result<PrivateKey> readKey(std::string_view pem) {
  PrivateKey key(PEM_read_bio_PrivateKey(reading(pem).get(), nullptr, nullptr, nullptr));
  if (!key) return fail(opensslError(ErrorCode::InvalidArgument, "reading a key"));
  return key;
}

Result<void> setName(X509_NAME* name, const std::string& common_name) {
  const auto* text = reinterpret_cast<const unsigned char*>(common_name.c_str());
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1) return {};
  return fail(openssl("naming a certificate"));
}

Result<void> setSerial(X509* certificate) {
  const BigNumber number(BN_new());
  if (BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr) {
    return {};
  }
  return fail(openssl("numbering a certificate"));
}

void setLife(X509* certificate, WallTime from, WallTime to) {
  ASN1_TIME_set(X509_getm_notBefore(certificate), std::chrono::system_clock::to_time_t(from));
  ASN1_TIME_set(X509_getm_notAfter(certificate), std::chrono::system_clock::to_time_t(to));
}

struct ExtensionText {
  int nid;
  std::string value;
};

Result<void> addExtensions(X509* certificate, X509* issuer, const std::vector<ExtensionText>& extensions) {
  X509V3_CTX context{};
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const auto& [nid, value] : extensions) {
    const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) {
      return fail(openssl("extending a certificate by " + value));
    }
  }
  return {};
}

/// An unsigned certificate for `key`.
Result<Certificate> blank(EVP_PKEY* key, const std::string& common_name, WallTime now,
                          std::chrono::days life) {
  Certificate certificate(X509_new());
  if (!certificate || X509_set_version(certificate.get(), kVersion3) != 1 ||
      X509_set_pubkey(certificate.get(), key) != 1) {
    return fail(openssl("making a certificate"));
  }
  TRY_VOID(setSerial(certificate.get()));
  TRY_VOID(setName(X509_get_subject_name(certificate.get()), common_name));
  setLife(certificate.get(), now - kBackdated, now + life);
  return certificate;
}

Result<void> sign(X509* certificate, EVP_PKEY* key) {
  if (X509_sign(certificate, key, EVP_sha256()) != 0) return {};
  return fail(openssl("signing a certificate"));
}

Result<KeyPair> pairOf(X509* certificate, EVP_PKEY* key) {
  KeyPair pair;
  TRY(pair.certificate_pem, certificateText(certificate));
  TRY(pair.key_pem, keyText(key));
  return pair;
}

bool isSubjectName(std::string_view name) {
  if (name.starts_with(kWildcard)) name.remove_prefix(kWildcard.size());
  return isDnsName(name);
}

/// "DNS:box,IP:127.0.0.1": the names cannot say more than they should, because nothing but names gets in.
Result<std::string> alternativeNames(const SubjectNames& names) {
  std::vector<std::string> parts;
  for (const std::string& name : names.dns) {
    if (!isSubjectName(name)) return fail(ErrorCode::InvalidArgument, "\"" + name + "\" is not a DNS name");
    parts.push_back("DNS:" + name);
  }
  for (const std::string& address : names.addresses) {
    const std::unique_ptr<ASN1_OCTET_STRING, Freed<ASN1_OCTET_STRING_free>> read(
        a2i_IPADDRESS(address.c_str()));
    if (!read) return fail(ErrorCode::InvalidArgument, "\"" + address + "\" is not an IP address");
    parts.push_back("IP:" + address);
  }
  return join(parts, ",");
}

bool coversAll(X509* certificate, const SubjectNames& names) {
  const bool all_names = std::ranges::all_of(names.dns, [&](const std::string& name) {
    // A wildcard is looked for as a name below it would be.
    const std::string host = name.starts_with(kWildcard) ? "any" + name.substr(1) : name;
    return X509_check_host(certificate, host.c_str(), host.size(), 0, nullptr) == 1;
  });
  return all_names && std::ranges::all_of(names.addresses, [&](const std::string& address) {
           return X509_check_ip_asc(certificate, address.c_str(), 0) == 1;
         });
}

}  // namespace

Result<KeyPair> makeAuthority(const std::string& common_name, WallTime now) {
  TRY(const PrivateKey key, newKey());
  TRY(const Certificate certificate, blank(key.get(), common_name, now, kAuthorityLife));
  X509* self = certificate.get();
  X509_set_issuer_name(self, X509_get_subject_name(self));
  TRY_VOID(addExtensions(self, self,
                         {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                          {NID_key_usage, "critical,keyCertSign,cRLSign"},
                          {NID_subject_key_identifier, "hash"}}));
  TRY_VOID(sign(self, key.get()));
  return pairOf(self, key.get());
}

Result<KeyPair> issueServer(const KeyPair& authority, const SubjectNames& names, WallTime now) {
  TRY(const std::string alternatives, alternativeNames(names));
  TRY(const Certificate issuer, readCertificate(authority.certificate_pem));
  TRY(const PrivateKey issuer_key, readKey(authority.key_pem));
  TRY(const PrivateKey key, newKey());
  const std::string common_name = names.dns.empty() ? names.addresses.front() : names.dns.front();
  TRY(const Certificate certificate, blank(key.get(), common_name, now, kServerLife));
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  TRY_VOID(addExtensions(certificate.get(), issuer.get(),
                         {{NID_basic_constraints, "critical,CA:FALSE"},
                          {NID_key_usage, "critical,digitalSignature"},
                          {NID_ext_key_usage, "serverAuth"},
                          {NID_subject_key_identifier, "hash"},
                          {NID_authority_key_identifier, "keyid:always"},
                          {NID_subject_alt_name, alternatives}}));
  TRY_VOID(sign(certificate.get(), issuer_key.get()));
  return pairOf(certificate.get(), key.get());
}

bool stillServes(const std::string& certificate_pem, const std::string& authority_pem,
                 const SubjectNames& names, WallTime now) {
  const Result<Certificate> certificate = readCertificate(certificate_pem);
  const Result<Certificate> authority = readCertificate(authority_pem);
  if (!certificate || !authority) return false;
  X509* const server = certificate->get();
  std::time_t begin = std::chrono::system_clock::to_time_t(now);
  std::time_t end = std::chrono::system_clock::to_time_t(now + kRenewBefore);
  const bool in_time = X509_cmp_time(X509_get0_notBefore(server), &begin) < 0 &&
                       X509_cmp_time(X509_get0_notAfter(server), &end) > 0;
  const bool is_ours = X509_verify(server, X509_get0_pubkey(authority->get())) == 1;
  ERR_clear_error();
  return in_time && is_ours && coversAll(server, names);
}

}  // namespace berth::tls
