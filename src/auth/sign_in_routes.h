// What a client asks before it has a token: discovery and the token itself, for anyone.
#pragma once

#include <string>
#include <vector>

#include "auth/sign_in.h"
#include "http/router.h"

namespace berth::auth {

/// /metadata/endpoints and, for the tenant "adfs" or the tenant's id, the token service, OpenID discovery and
/// its keys. `sign_in` and `key` outlive the server.
std::vector<http::Route> signInRoutes(SignIn& sign_in, const TokenKey& key, const std::string& device);

}  // namespace berth::auth
