// Who is at the other end of any connection: the kernel's word on the unix socket, a token on the network.
#pragma once

#include "auth/sign_in.h"
#include "http/authenticator.h"

namespace berth::auth {

class NetworkAuthenticator final : public http::Authenticator {
 public:
  /// Both outlive it.
  NetworkAuthenticator(const http::Authenticator& local, SignIn& sign_in)
      : local_(local), sign_in_(sign_in) {}
  Result<http::Principal> authenticate(const http::Peer& peer, const http::Headers& headers) const override;

 private:
  const http::Authenticator& local_;
  SignIn& sign_in_;
};

}  // namespace berth::auth
