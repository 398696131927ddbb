#include "http/authenticator.h"

#include <string>

namespace berth::http {

Result<Principal> PeerCredentialAuthenticator::authenticate(const Peer& peer,
                                                            const Headers& /*headers*/) const {
  if (!peer.credentials) return fail(ErrorCode::Denied, "this is answered on the unix socket only");
  const uid_t uid = peer.credentials->uid;
  const bool owner = uid == 0 || uid == own_uid_;
  return Principal{"uid:" + std::to_string(uid), owner ? Role::Owner : Role::Operator};
}

}  // namespace berth::http
