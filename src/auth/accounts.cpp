#include "auth/accounts.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/json.hpp>

#include "base/text.h"

namespace berth::auth {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxNameLength = 64;
constexpr std::int64_t kFormatVersion = 1;

bool isAccountName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameLength && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool isDefault(const Account& account) { return account.name == kDefaultUser; }

json::object toJson(const Account& account) {
  return {{"name", account.name},
          {"clientId", account.client_id},
          {"role", http::name(account.role)},
          {"secretHash", account.secret_hash},
          {"generation", account.generation},
          {"created", account.created}};
}

Result<std::string> textAt(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) {
    return fail(ErrorCode::Corrupt, "\"" + std::string(key) + "\" is not a string");
  }
  return std::string(value->get_string());
}

Result<Account> accountFrom(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return fail(ErrorCode::Corrupt, "not an object");
  Account account;
  TRY(account.name, textAt(*object, "name"));
  TRY(account.client_id, textAt(*object, "clientId"));
  TRY(const std::string role, textAt(*object, "role"));
  TRY(account.role, parseRole(role));
  TRY(account.secret_hash, textAt(*object, "secretHash"));
  TRY(account.created, textAt(*object, "created"));
  const json::value* generation = object->if_contains("generation");
  if (generation == nullptr || !generation->is_int64() || generation->get_int64() < 1) {
    return fail(ErrorCode::Corrupt, "\"generation\" is not a number");
  }
  account.generation = generation->get_int64();
  return account;
}

Result<json::array> accountArray(std::string_view text) {
  boost::system::error_code error;
  json::value root = json::parse(text, error);
  if (error) return fail(ErrorCode::Corrupt, error.message());
  const json::object* object = root.if_object();
  const json::value* version = object == nullptr ? nullptr : object->if_contains("version");
  const json::value* list = object == nullptr ? nullptr : object->if_contains("accounts");
  if (version == nullptr || *version != kFormatVersion || list == nullptr || !list->is_array()) {
    return fail(ErrorCode::Corrupt, "these are no accounts of this version");
  }
  return list->get_array();
}

}  // namespace

Result<http::Role> parseRole(std::string_view text) {
  for (const http::Role role : {http::Role::Reader, http::Role::Operator, http::Role::Owner}) {
    if (http::name(role) == text) return role;
  }
  return fail(ErrorCode::InvalidArgument,
              "\"" + std::string(text) + "\" is none of the roles reader, operator and owner");
}

AccountBook AccountBook::initial() {
  AccountBook book;
  book.accounts_.push_back({kDefaultUser, kDefaultClientId, http::Role::Owner, {}, 1, {}});
  return book;
}

Result<AccountBook> AccountBook::parse(std::string_view text) {
  TRY(const json::array list, accountArray(text));
  AccountBook book;
  for (std::size_t i = 0; i < list.size(); ++i) {
    Result<Account> account = accountFrom(list[i]);
    Result<void> added = account ? book.add(*std::move(account)) : Result<void>(fail(account.error()));
    if (!added) {
      return fail(ErrorCode::Corrupt, "accounts[" + std::to_string(i) + "]: " + added.error().message);
    }
  }
  if (book.find(kDefaultUser) == nullptr) return fail(ErrorCode::Corrupt, "the default account is missing");
  return book;
}

std::string AccountBook::serialize() const {
  json::array list;
  for (const Account& account : accounts_) list.push_back(toJson(account));
  return json::serialize(json::object{{"version", kFormatVersion}, {"accounts", std::move(list)}}) + "\n";
}

const Account* AccountBook::find(std::string_view name_or_client_id) const {
  const std::string wanted = toLower(name_or_client_id.substr(0, name_or_client_id.find('@')));
  const auto found = std::ranges::find_if(accounts_, [&](const Account& account) {
    return toLower(account.name) == wanted || toLower(account.client_id) == wanted;
  });
  return found == accounts_.end() ? nullptr : &*found;
}

Account* AccountBook::mutableFind(std::string_view name) {
  const Account* found = find(name);
  return found == nullptr ? nullptr : &accounts_[static_cast<std::size_t>(found - accounts_.data())];
}

Result<void> AccountBook::add(Account account) {
  if (!isAccountName(account.name) || !isAccountName(account.client_id)) {
    return fail(ErrorCode::InvalidArgument,
                "\"" + account.name + "\" is not a name: 1 to 64 letters, digits, '.', '_' and '-'");
  }
  if (account.role == http::Role::Anyone) return fail(ErrorCode::InvalidArgument, "\"anyone\" is no role");
  if (find(account.name) != nullptr || find(account.client_id) != nullptr) {
    return fail(ErrorCode::Conflict, "there is an account named " + account.name);
  }
  if (accounts_.size() >= kMaxAccounts) {
    return fail(ErrorCode::Conflict,
                "there are " + std::to_string(kMaxAccounts) + " accounts; revoke one first");
  }
  accounts_.push_back(std::move(account));
  return {};
}

Result<void> AccountBook::setSecret(std::string_view name, std::string hash) {
  Account* account = mutableFind(name);
  if (account == nullptr) return fail(ErrorCode::NotFound, "there is no account " + std::string(name));
  account->secret_hash = std::move(hash);
  ++account->generation;
  return {};
}

Result<void> AccountBook::revoke(std::string_view name) {
  Account* account = mutableFind(name);
  if (account == nullptr) return fail(ErrorCode::NotFound, "there is no account " + std::string(name));
  if (isDefault(*account)) return setSecret(name, {});
  accounts_.erase(accounts_.begin() + (account - accounts_.data()));
  return {};
}

}  // namespace berth::auth
