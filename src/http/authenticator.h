// Who is at the other end of a connection.
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "http/exchange.h"

namespace berth::http {

/// Decides for each request; called on worker threads, several at once. Denied: nobody we know, which is
/// answered 401.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  virtual Result<Principal> authenticate(const Peer& peer, const Headers& headers) const = 0;
};

/// The login of the unix socket: root and the daemon's own user are owner; everyone else who could open the
/// socket (mode 0660) is a member of its group, and so operator. Who comes over the network is nobody.
class PeerCredentialAuthenticator final : public Authenticator {
 public:
  explicit PeerCredentialAuthenticator(uid_t own_uid) : own_uid_(own_uid) {}
  Result<Principal> authenticate(const Peer& peer, const Headers& headers) const override;

 private:
  uid_t own_uid_;
};

}  // namespace berth::http
