#include "tls/certificate_store.h"

#include <utility>

#include "base/log.h"
#include "os/files.h"

namespace berth::tls {
namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kPublicMode = 0644;
constexpr mode_t kSecretMode = 0600;
constexpr std::size_t kMaxBytes = std::size_t{256} * 1024;
constexpr const char* kAuthorityKeyFile = "ca.key";
constexpr const char* kServerFile = "server.pem";
constexpr const char* kServerKeyFile = "server.key";

/// The key goes first: a certificate without its key would stand in the way for ever.
Result<void> writePair(const KeyPair& pair, const std::filesystem::path& certificate,
                       const std::filesystem::path& key) {
  TRY_VOID(os::writeFileAtomically(key, pair.key_pem, kSecretMode));
  return os::writeFileAtomically(certificate, pair.certificate_pem, kPublicMode);
}

Result<KeyPair> makeAuthorityIn(const std::filesystem::path& folder, const std::string& device,
                                WallTime now) {
  TRY(KeyPair authority, makeAuthority("Berth authority of " + device, now));
  TRY_VOID(writePair(authority, folder / kAuthorityFile, folder / kAuthorityKeyFile));
  log(LogLevel::Info, "made an authority for TLS", {{"certificate", (folder / kAuthorityFile).string()}});
  return authority;
}

Result<KeyPair> ensureAuthority(const std::filesystem::path& folder, const std::string& device,
                                WallTime now) {
  std::error_code ignored;
  if (!std::filesystem::exists(folder / kAuthorityFile, ignored)) return makeAuthorityIn(folder, device, now);
  return readCertificate(folder / kAuthorityFile, folder / kAuthorityKeyFile);
}

}  // namespace

Result<KeyPair> readCertificate(const std::filesystem::path& certificate, const std::filesystem::path& key) {
  KeyPair pair;
  TRY(pair.certificate_pem, os::readFile(certificate, kMaxBytes));
  TRY(pair.key_pem, os::readFile(key, kMaxBytes));
  return pair;
}

Result<KeyPair> ensureServerCertificate(const std::filesystem::path& folder, const SubjectNames& names,
                                        WallTime now) {
  TRY_VOID(os::ensureDirectory(folder, kFolderMode));
  TRY(const KeyPair authority, ensureAuthority(folder, names.dns.front(), now));
  const Result<KeyPair> present = readCertificate(folder / kServerFile, folder / kServerKeyFile);
  if (present && stillServes(present->certificate_pem, authority.certificate_pem, names, now))
    return *present;
  Result<KeyPair> server = issueServer(authority, names, now);
  if (!server) {
    return fail(ErrorCode::Corrupt, (folder / kAuthorityFile).string() + " and its key are of no use (" +
                                        server.error().message + "); remove both to have new ones made");
  }
  TRY_VOID(writePair(*server, folder / kServerFile, folder / kServerKeyFile));
  log(LogLevel::Info, "made a certificate for TLS", {{"certificate", (folder / kServerFile).string()}});
  return server;
}

}  // namespace berth::tls
