#include "tls/certificates.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/testing/temp_dir.h"
#include "os/files.h"
#include "tls/certificate_store.h"
#include "tls/openssl_handles.h"

namespace berth::tls {
namespace {

using ::testing::HasSubstr;

const WallTime kNow = WallTime(std::chrono::hours(24 * 365 * 56));
const SubjectNames kNames{{"management.box", "login.box", "*.blob.box", "localhost"}, {"127.0.0.1", "::1"}};

std::string described(const std::string& pem) {
  const Certificate certificate(PEM_read_bio_X509(reading(pem).get(), nullptr, nullptr, nullptr));
  const Bio out(BIO_new(BIO_s_mem()));
  X509_print(out.get(), certificate.get());
  return textOf(out.get());
}

TEST(CertificatesTest, AServersCertificateIsSignedByTheAuthorityForAllItsNames) {
  const auto authority = makeAuthority("Test", kNow);
  ASSERT_TRUE(authority) << authority.error().message;
  const auto server = issueServer(*authority, kNames, kNow);
  ASSERT_TRUE(server) << server.error().message;

  EXPECT_TRUE(stillServes(server->certificate_pem, authority->certificate_pem, kNames, kNow));
  const std::string text = described(server->certificate_pem);
  EXPECT_THAT(text, HasSubstr("DNS:management.box, DNS:login.box, DNS:*.blob.box"));
  EXPECT_THAT(text, HasSubstr("CA:FALSE"));
  EXPECT_THAT(text, HasSubstr("TLS Web Server Authentication"));
  EXPECT_THAT(described(authority->certificate_pem), HasSubstr("CA:TRUE, pathlen:0"));
}

TEST(CertificatesTest, AnotherNameAnotherAuthorityOrALateDayNeedsANewCertificate) {
  const auto authority = makeAuthority("Test", kNow);
  const auto other = makeAuthority("Test", kNow);
  const auto server = issueServer(*authority, kNames, kNow);
  ASSERT_TRUE(server && other);
  const auto serves = [&](const KeyPair& by, const SubjectNames& names, WallTime when) {
    return stillServes(server->certificate_pem, by.certificate_pem, names, when);
  };
  EXPECT_TRUE(serves(*authority, {{"any.blob.box"}, {}}, kNow));
  EXPECT_FALSE(serves(*authority, {{"other.box"}, {}}, kNow));
  EXPECT_FALSE(serves(*authority, {{"login.box"}, {"192.0.2.1"}}, kNow));
  EXPECT_FALSE(serves(*other, kNames, kNow));
  EXPECT_TRUE(serves(*authority, kNames, kNow + kServerLife - kRenewBefore - std::chrono::hours(1)));
  EXPECT_FALSE(serves(*authority, kNames, kNow + kServerLife - kRenewBefore + std::chrono::hours(1)));
  EXPECT_FALSE(serves(*authority, kNames, kNow - std::chrono::days(2)));
}

TEST(CertificatesTest, WhatIsNoNameDoesNotGetIntoACertificate) {
  const auto authority = makeAuthority("Test", kNow);
  ASSERT_TRUE(authority);
  for (const char* name : {"", "a,DNS:b", "*", "a b", "-a", "*.*.box"}) {
    const auto server = issueServer(*authority, {{name}, {}}, kNow);
    ASSERT_FALSE(server) << name;
    EXPECT_EQ(server.error().code, ErrorCode::InvalidArgument);
  }
  EXPECT_FALSE(issueServer(*authority, {{"box"}, {"127.0.0.256"}}, kNow));
}

TEST(CertificateStoreTest, CertificatesAreMadeOnceAndKept) {
  const http::testing::TempDir dir;
  const std::filesystem::path folder = dir.at("tls");
  const auto first = ensureServerCertificate(folder, kNames, kNow);
  ASSERT_TRUE(first) << first.error().message;
  const auto authority = os::readFile(folder / kAuthorityFile, 10000);
  const auto again = ensureServerCertificate(folder, kNames, kNow);
  ASSERT_TRUE(again);
  EXPECT_EQ(first->certificate_pem, again->certificate_pem);

  const auto renamed = ensureServerCertificate(folder, {{"new.box"}, {}}, kNow);
  ASSERT_TRUE(renamed);
  EXPECT_NE(first->certificate_pem, renamed->certificate_pem);
  EXPECT_EQ(*os::readFile(folder / kAuthorityFile, 10000), *authority);
}

TEST(CertificateStoreTest, KeysAreForTheDaemonAlone) {
  const http::testing::TempDir dir;
  const std::filesystem::path folder = dir.at("tls");
  ASSERT_TRUE(ensureServerCertificate(folder, kNames, kNow));
  for (const char* file : {"ca.key", "server.key"}) {
    EXPECT_EQ(std::filesystem::status(folder / file).permissions(), std::filesystem::perms(0600)) << file;
  }
}

TEST(CertificateStoreTest, ADamagedAuthorityIsNotReplacedBehindItsClientsBacks) {
  const http::testing::TempDir dir;
  const std::filesystem::path folder = dir.at("tls");
  ASSERT_TRUE(ensureServerCertificate(folder, kNames, kNow));
  ASSERT_TRUE(os::writeFileAtomically(folder / kAuthorityFile, "torn", 0644));
  const auto server = ensureServerCertificate(folder, kNames, kNow);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, ErrorCode::Corrupt);
  EXPECT_THAT(server.error().message, HasSubstr("ca.pem"));
}

}  // namespace
}  // namespace berth::tls
