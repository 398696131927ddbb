#include "http/authenticator.h"

#include <string>

namespace berth::http {

Result<Principal> PeerCredentialAuthenticator::authenticate(const Peer& peer) const {
  const bool owner = peer.uid == 0 || peer.uid == own_uid_;
  return Principal{"uid:" + std::to_string(peer.uid), owner ? Role::Owner : Role::Operator};
}

}  // namespace berth::http
