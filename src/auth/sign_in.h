// Signing in: a secret for a token, and a token for who its bearer is.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <variant>

#include "auth/account_store.h"
#include "auth/lockout.h"
#include "auth/token_key.h"
#include "base/clock.h"
#include "base/guarded.h"
#include "http/exchange.h"

namespace berth::auth {

/// The appliance's (reference/appliance.md, 90 and 92).
inline constexpr const char* kDefaultTenant = "c0257de7-538f-415c-993a-1b87a031879d";
inline constexpr std::chrono::seconds kDefaultLifetime{90 * 60};
/// So many clients may wait for their secret to be checked, one after the other; more are told to come again.
inline constexpr int kMaxWaitingSignIns = 8;

/// Why no token is given, in the words of Azure's sign-in: clients look for the number.
struct Denial {
  int status = 400;
  std::string error;  // "invalid_grant"
  int code = 0;       // 50126 is written AADSTS50126.
  std::string message;
  bool operator==(const Denial&) const = default;
};

struct Grant {
  std::string token;
  Claims claims;
};

/// How an account shows its secret.
enum class Way { Password, ClientSecret };

struct Attempt {
  Way way = Way::Password;
  std::string who;  // A name or client id.
  std::string secret;
  std::string audience;
  std::string issuer;
};

struct SignInSettings {
  std::chrono::seconds lifetime = kDefaultLifetime;
  std::string tenant = kDefaultTenant;
};

/// Safe from every thread.
class SignIn {
 public:
  /// `accounts`, `key` and `clock` outlive it. Internal: no random numbers.
  static Result<std::unique_ptr<SignIn>> make(const AccountStore& accounts, const TokenKey& key,
                                              const Clock& clock, SignInSettings settings,
                                              const HashCost& cost = {});

  /// Blocks for as long as hashing takes, and for those who came before.
  std::variant<Grant, Denial> signIn(const Attempt& attempt);

  /// A token for `account` that ends after `lifetime`, without asking for a secret.
  Result<Grant> tokenFor(const Account& account, const std::string& audience, const std::string& issuer,
                         std::chrono::seconds lifetime) const;

  /// Who bears `token`. Denied with the reason of Azure's error: forged, expired, or its account has another
  /// secret now, or is gone.
  Result<http::Principal> bearer(const std::string& token);

  const SignInSettings& settings() const { return settings_; }

 private:
  SignIn(const AccountStore& accounts, const TokenKey& key, const Clock& clock, SignInSettings settings,
         std::string nobodys_hash);
  std::variant<Grant, Denial> checkSecret(const Attempt& attempt);
  Result<Claims> verified(const std::string& token);

  const AccountStore& accounts_;
  const TokenKey& key_;
  const Clock& clock_;
  const SignInSettings settings_;
  const std::string nobodys_hash_;  // Checked where there is no account, so that both take as long.
  std::atomic<int> waiting_ = 0;
  std::mutex hashing_;  // Held while a secret is checked: memory for one, and no two guesses at a time.
  Lockout lockout_;     // Under hashing_.
  Guarded<std::unordered_map<std::string, Claims>> verified_;  // Tokens whose signature was found good.
};

}  // namespace berth::auth
