#include "auth/network_authenticator.h"

#include <string>

#include "base/text.h"

namespace berth::auth {

Result<http::Principal> NetworkAuthenticator::authenticate(const http::Peer& peer,
                                                           const http::Headers& headers) const {
  if (peer.credentials) return local_.authenticate(peer, headers);
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view header = http::findHeader(headers, "authorization");
  if (header.empty()) {
    return fail(Error{ErrorCode::Denied, "the Authorization header is missing", "AuthenticationFailed", {}});
  }
  if (toLower(header.substr(0, kScheme.size())) != kScheme) {
    return fail(Error{
        ErrorCode::Denied, "the Authorization header is not \"Bearer TOKEN\"", "AuthenticationFailed", {}});
  }
  return sign_in_.bearer(std::string(trim(header.substr(kScheme.size()))));
}

}  // namespace berth::auth
