#include "auth/account_store.h"

#include <array>
#include <ctime>
#include <utility>

#include "os/files.h"

namespace berth::auth {
namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;
constexpr std::size_t kSecretBytes = 24;
constexpr std::size_t kMinSecret = 12;
constexpr std::size_t kMaxSecret = 256;

std::string timestamp(std::chrono::system_clock::time_point when) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), size};
}

Result<std::string> secretOr(const std::optional<std::string>& given) {
  if (!given) return randomText(kSecretBytes);
  if (given->size() < kMinSecret || given->size() > kMaxSecret) {
    return fail(ErrorCode::InvalidArgument, "a secret has " + std::to_string(kMinSecret) + " to " +
                                                std::to_string(kMaxSecret) + " bytes");
  }
  return *given;
}

}  // namespace

Result<std::unique_ptr<AccountStore>> AccountStore::open(std::filesystem::path file, const Clock& clock,
                                                         const HashCost& cost) {
  const Result<std::string> text = os::readFile(file, kMaxFileBytes);
  if (!text && text.error().code != ErrorCode::NotFound) return fail(text.error());
  AccountBook book = AccountBook::initial();
  if (text) {
    TRY(book, AccountBook::parse(*text).during(file.string()));
  }
  return std::unique_ptr<AccountStore>(new AccountStore(std::move(file), clock, cost, std::move(book)));
}

template <typename Change>
Result<void> AccountStore::change(Change change) {
  const std::scoped_lock lock(writing_);
  AccountBook next = *book();
  TRY_VOID(change(next));
  TRY_VOID(os::ensureDirectory(file_.parent_path(), kFolderMode));
  TRY_VOID(os::writeFileAtomically(file_, next.serialize(), kFileMode));
  book_.with([&](auto& book) { book = std::make_shared<const AccountBook>(std::move(next)); });
  return {};
}

Result<NewSecret> AccountStore::create(const std::string& name, http::Role role,
                                       const std::optional<std::string>& secret) {
  NewSecret made;
  TRY(made.secret, secretOr(secret));
  made.account = {name, {}, role, {}, 1, timestamp(clock_.wallTime())};
  TRY(made.account.client_id, randomUuid());
  TRY(made.account.secret_hash, hashSecret(made.secret, cost_));
  TRY_VOID(change([&](AccountBook& book) { return book.add(made.account); }));
  return made;
}

Result<NewSecret> AccountStore::reset(const std::string& name, const std::optional<std::string>& secret) {
  NewSecret made;
  TRY(made.secret, secretOr(secret));
  TRY(const std::string hash, hashSecret(made.secret, cost_));
  const Result<void> changed = change([&](AccountBook& book) -> Result<void> {
    TRY_VOID(book.setSecret(name, hash));
    made.account = *book.find(name);
    return {};
  });
  if (!changed) return fail(changed.error());
  return made;
}

Result<void> AccountStore::revoke(const std::string& name) {
  return change([&](AccountBook& book) { return book.revoke(name); });
}

}  // namespace berth::auth
