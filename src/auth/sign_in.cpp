#include "auth/sign_in.h"

#include <utility>

#include "base/log.h"

namespace berth::auth {
namespace {

constexpr std::size_t kMaxRemembered = 1024;
constexpr std::chrono::seconds kClockSkew{60};

Denial wrongSecret(Way way) {
  if (way == Way::Password) return {400, "invalid_grant", 50126, "Invalid username or password."};
  return {401, "invalid_client", 7000215, "Invalid client secret provided."};
}

Denial locked() {
  return {400, "invalid_grant", 50053,
          "The account is locked after too many wrong secrets. Try again later."};
}

Denial busy() {
  return {503, "temporarily_unavailable", 90033, "A transient error has occurred. Please try again."};
}

Error denied(const std::string& reason, const std::string& message) {
  return Error{ErrorCode::Denied, message, reason, {}};
}

/// Counts one who waits for as long as it lives.
class Place {
 public:
  explicit Place(std::atomic<int>& count) : count_(count), number_(++count) {}
  ~Place() { --count_; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  bool granted() const { return number_ <= kMaxWaitingSignIns; }

 private:
  std::atomic<int>& count_;
  const int number_;
};

}  // namespace

Result<std::unique_ptr<SignIn>> SignIn::make(const AccountStore& accounts, const TokenKey& key,
                                             const Clock& clock, SignInSettings settings,
                                             const HashCost& cost) {
  TRY(const std::string unknown, randomText(16));
  TRY(std::string hash, hashSecret(unknown, cost));
  return std::unique_ptr<SignIn>(new SignIn(accounts, key, clock, std::move(settings), std::move(hash)));
}

SignIn::SignIn(const AccountStore& accounts, const TokenKey& key, const Clock& clock, SignInSettings settings,
               std::string nobodys_hash)
    : accounts_(accounts),
      key_(key),
      clock_(clock),
      settings_(std::move(settings)),
      nobodys_hash_(std::move(nobodys_hash)) {}

std::variant<Grant, Denial> SignIn::signIn(const Attempt& attempt) {
  const Place place(waiting_);
  if (!place.granted()) return busy();
  const std::scoped_lock lock(hashing_);
  return checkSecret(attempt);
}

std::variant<Grant, Denial> SignIn::checkSecret(const Attempt& attempt) {
  const auto book = accounts_.book();
  const Account* account = book->find(attempt.who);
  if (account != nullptr && lockout_.isLocked(account->name, clock_.now())) return locked();
  const bool has_secret = account != nullptr && !account->secret_hash.empty();
  const bool right = matches(has_secret ? account->secret_hash : nobodys_hash_, attempt.secret) && has_secret;
  if (!right) {
    if (account != nullptr) lockout_.noteFailure(account->name, clock_.now());
    log(LogLevel::Warning, "sign-in refused", {{"account", account == nullptr ? "unknown" : account->name}});
    return wrongSecret(attempt.way);
  }
  lockout_.noteSuccess(account->name);
  Result<Grant> grant = tokenFor(*account, attempt.audience, attempt.issuer, settings_.lifetime);
  if (grant) return *std::move(grant);
  return Denial{500, "server_error", 90002, grant.error().message};
}

Result<Grant> SignIn::tokenFor(const Account& account, const std::string& audience, const std::string& issuer,
                               std::chrono::seconds lifetime) const {
  const auto now = std::chrono::floor<std::chrono::seconds>(clock_.wallTime());
  Grant grant{{},
              {account.name, account.client_id, account.generation, issuer, audience, settings_.tenant, now,
               now + lifetime}};
  TRY(grant.token, key_.sign(grant.claims));
  return grant;
}

/// The signature's check is what costs; what it said of a token never changes.
Result<Claims> SignIn::verified(const std::string& token) {
  const auto known = verified_.with([&](const auto& tokens) {
    const auto found = tokens.find(token);
    return found == tokens.end() ? std::optional<Claims>() : std::optional(found->second);
  });
  if (known) return *known;
  TRY(Claims claims, key_.verify(token));
  verified_.with([&](auto& tokens) {
    if (tokens.size() >= kMaxRemembered) tokens.clear();
    tokens.emplace(token, claims);
  });
  return claims;
}

Result<http::Principal> SignIn::bearer(const std::string& token) {
  TRY(const Claims claims, verified(token));
  const auto now = clock_.wallTime();
  if (now >= claims.expires) {
    return fail(denied("ExpiredAuthenticationToken", "the access token expired; sign in again"));
  }
  if (now + kClockSkew < claims.issued) {
    return fail(denied("InvalidAuthenticationToken", "the access token is from the future"));
  }
  const auto book = accounts_.book();
  const Account* account = book->find(claims.account);
  if (account == nullptr || account->client_id != claims.client_id ||
      account->generation != claims.generation) {
    return fail(denied("InvalidAuthenticationToken", "the access token was revoked; sign in again"));
  }
  return http::Principal{account->name, account->role};
}

}  // namespace berth::auth
