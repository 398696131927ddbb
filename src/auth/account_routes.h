// /api/v1/tokens: who may sign in from the network. For owners.
#pragma once

#include <string>
#include <vector>

#include "auth/sign_in.h"
#include "http/router.h"

namespace berth::auth {

/// The routes over these; they outlive the server.
std::vector<http::Route> accountRoutes(AccountStore& accounts, const SignIn& sign_in,
                                       const std::string& device);

}  // namespace berth::auth
