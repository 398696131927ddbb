// The accounts of this device on its disk.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "auth/accounts.h"
#include "auth/secrets.h"
#include "base/clock.h"
#include "base/guarded.h"

namespace berth::auth {

/// An account and the secret it was just given, which is known here for the last time.
struct NewSecret {
  Account account;
  std::string secret;
};

/// Safe from every thread. A change is on the disk when its call returns; readers never wait for one.
class AccountStore {
 public:
  /// `file` is made by the first change. Corrupt: it holds something else. `clock` outlives the store.
  static Result<std::unique_ptr<AccountStore>> open(std::filesystem::path file, const Clock& clock,
                                                    const HashCost& cost = {});

  std::shared_ptr<const AccountBook> book() const {
    return book_.with([](const auto& book) { return book; });
  }

  /// A new account with a secret of the caller's (12 to 256 bytes) or a random one. Errors as
  /// AccountBook::add, and of the disk.
  Result<NewSecret> create(const std::string& name, http::Role role,
                           const std::optional<std::string>& secret);
  /// Another secret for an account; what was signed in with the old one is void.
  Result<NewSecret> reset(const std::string& name, const std::optional<std::string>& secret);
  Result<void> revoke(const std::string& name);

 private:
  AccountStore(std::filesystem::path file, const Clock& clock, const HashCost& cost, AccountBook book)
      : file_(std::move(file)),
        clock_(clock),
        cost_(cost),
        book_(std::make_shared<const AccountBook>(std::move(book))) {}
  template <typename Change>
  Result<void> change(Change change);

  const std::filesystem::path file_;
  const Clock& clock_;
  const HashCost cost_;
  std::mutex writing_;  // Held from reading the book to publishing the next one: changes are one at a time.
  Guarded<std::shared_ptr<const AccountBook>> book_;
};

}  // namespace berth::auth
