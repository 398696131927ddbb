// Where this device's authority and server certificate are kept.
#pragma once

#include <filesystem>

#include "base/error.h"
#include "tls/certificates.h"

namespace berth::tls {

/// The files in `folder`: ca.pem is what clients are told to trust, ca.key never leaves, server.pem and
/// server.key are what the server shows.
inline constexpr const char* kAuthorityFile = "ca.pem";

/// The server's certificate for `names`, out of `folder`; made there, and the authority with it, where there
/// is none. A server certificate that lacks a name or ends soon is made anew, the authority never is: Corrupt
/// when its files are there and of no use. Io, Denied from the kernel. Blocks on the disk.
Result<KeyPair> ensureServerCertificate(const std::filesystem::path& folder, const SubjectNames& names,
                                        WallTime now);

/// A certificate and key of the user's own. NotFound, Denied, Io; what they hold is the server's to judge.
Result<KeyPair> readCertificate(const std::filesystem::path& certificate, const std::filesystem::path& key);

}  // namespace berth::tls
