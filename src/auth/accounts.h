// Who may sign in from the network: people and programs alike, each with a secret and a role.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/exchange.h"

namespace berth::auth {

/// The appliance's one user and service principal (reference/appliance.md, 90), which is there from the start
/// and owner, without a secret until it is given one.
inline constexpr const char* kDefaultUser = "EdgeArmUser";
inline constexpr const char* kDefaultClientId = "cbd868c5-7207-431f-8d16-1cb144b50971";

inline constexpr std::size_t kMaxAccounts = 256;

struct Account {
  std::string name;       // 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'; case does not tell two apart.
  std::string client_id;  // A UUID, for client credentials.
  http::Role role = http::Role::Reader;
  std::string secret_hash;      // Argon2id; empty: nobody can sign in with it.
  std::int64_t generation = 1;  // Of its secret: tokens of an earlier one are void.
  std::string created;          // "2026-11-30T06:49:48Z"
  bool operator==(const Account&) const = default;
};

/// All accounts. A value; no two have a name or client id in common.
class AccountBook {
 public:
  /// The default account alone.
  static AccountBook initial();
  /// What serialize() made. Corrupt, with the place, for anything else.
  static Result<AccountBook> parse(std::string_view text);
  std::string serialize() const;

  /// By name, as "NAME@anything", or by client id; case does not matter. Null: there is none.
  const Account* find(std::string_view name_or_client_id) const;
  const std::vector<Account>& all() const { return accounts_; }

  /// InvalidArgument: the name or role is none. Conflict: the name or client id is taken, or there are
  /// kMaxAccounts.
  Result<void> add(Account account);
  /// Gives it another secret; its tokens become void. NotFound.
  Result<void> setSecret(std::string_view name, std::string hash);
  /// Removes it, or closes it where it is the default one. NotFound.
  Result<void> revoke(std::string_view name);

  bool operator==(const AccountBook&) const = default;

 private:
  Account* mutableFind(std::string_view name);
  std::vector<Account> accounts_;
};

/// "reader", "operator", "owner"; InvalidArgument for other words.
Result<http::Role> parseRole(std::string_view text);

}  // namespace berth::auth
