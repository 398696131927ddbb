#include "auth/accounts.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/account_store.h"
#include "base/clock.h"
#include "http/testing/temp_dir.h"
#include "os/files.h"

namespace berth::auth {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr HashCost kCheap{1, 64};

Account named(const std::string& name) { return {name, "id-of-" + name, http::Role::Reader, "h", 1, "now"}; }

TEST(AccountsTest, ABookComesBackFromItsText) {
  AccountBook book = AccountBook::initial();
  ASSERT_TRUE(book.add(named("ci")));
  ASSERT_TRUE(book.setSecret(kDefaultUser, "hash"));
  const auto again = AccountBook::parse(book.serialize());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, book);
}

TEST(AccountsTest, DamageIsNamedAndNotRead) {
  const std::string good = AccountBook::initial().serialize();
  const auto broken = [&](const std::string& part, const std::string& by) {
    std::string text = good;
    text.replace(text.find(part), part.size(), by);
    return AccountBook::parse(text);
  };
  EXPECT_FALSE(AccountBook::parse(good.substr(0, good.size() / 2)));
  EXPECT_FALSE(AccountBook::parse(R"({"version": 1, "accounts": []})"));
  for (const auto& [part, by] :
       std::vector<std::pair<std::string, std::string>>{{"owner", "boss"},
                                                        {"owner", "anyone"},
                                                        {"\"version\":1", "\"version\":2"},
                                                        {"\"generation\":1", "\"generation\":0"},
                                                        {"EdgeArmUser", "Edge Arm"},
                                                        {"\"secretHash\":\"\"", "\"secretHash\":7"}}) {
    const auto read = broken(part, by);
    ASSERT_FALSE(read) << by;
    EXPECT_EQ(read.error().code, ErrorCode::Corrupt) << by;
  }
  EXPECT_THAT(broken("owner", "boss").error().message, HasSubstr("accounts[0]: \"boss\""));
}

TEST(AccountsTest, AccountsAreFoundByNameOrClientIdInAnyCase) {
  const AccountBook book = AccountBook::initial();
  for (const char* who : {"EdgeArmUser", "edgearmuser", "EdgeARMuser@localhost", kDefaultClientId,
                          "CBD868C5-7207-431F-8D16-1CB144B50971"}) {
    EXPECT_NE(book.find(who), nullptr) << who;
  }
  EXPECT_EQ(book.find(""), nullptr);
  EXPECT_EQ(book.find("@localhost"), nullptr);
}

TEST(AccountsTest, NamesAreTakenOnceInWhateverCase) {
  AccountBook book = AccountBook::initial();
  ASSERT_TRUE(book.add(named("ci")));
  EXPECT_EQ(book.add(named("CI")).error().code, ErrorCode::Conflict);
  EXPECT_EQ(book.add(named(kDefaultClientId)).error().code, ErrorCode::Conflict);
  for (const char* bad : {"", "a b", "a@b", "\xc3\xa4", "a/b"}) {
    EXPECT_EQ(book.add(named(bad)).error().code, ErrorCode::InvalidArgument) << bad;
  }
}

TEST(AccountsTest, ThereIsRoomForSoManyAndNoMore) {
  AccountBook book = AccountBook::initial();
  for (std::size_t i = 1; i < kMaxAccounts; ++i) ASSERT_TRUE(book.add(named("a" + std::to_string(i))));
  EXPECT_EQ(book.add(named("last")).error().code, ErrorCode::Conflict);
}

TEST(AccountsTest, RevokingTheDefaultAccountClosesItAndKeepsIt) {
  AccountBook book = AccountBook::initial();
  ASSERT_TRUE(book.setSecret(kDefaultUser, "hash"));
  const std::int64_t before = book.find(kDefaultUser)->generation;
  ASSERT_TRUE(book.revoke(kDefaultUser));
  EXPECT_EQ(book.find(kDefaultUser)->secret_hash, "");
  EXPECT_GT(book.find(kDefaultUser)->generation, before);
  EXPECT_EQ(book.revoke("nobody").error().code, ErrorCode::NotFound);
}

TEST(AccountStoreTest, WhatWasMadeIsThereAfterARestartAndItsSecretIsNot) {
  const http::testing::TempDir dir;
  const std::filesystem::path file = dir.at("auth") + "/accounts.json";
  const SystemClock clock;
  auto store = AccountStore::open(file, clock, kCheap);
  ASSERT_TRUE(store);
  EXPECT_FALSE(std::filesystem::exists(file));
  const auto made = (*store)->create("ci", http::Role::Operator, std::nullopt);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_GE(made->secret.size(), 32U);
  EXPECT_THAT(made->account.secret_hash, StartsWith("$argon2id$v=19$"));

  const auto again = AccountStore::open(file, clock, kCheap);
  ASSERT_TRUE(again);
  EXPECT_EQ(*(*again)->book()->find("ci"), made->account);
  const auto text = os::readFile(file, 100000);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->find(made->secret), std::string::npos);
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600));
}

TEST(AccountStoreTest, SecretsHaveTwelveTo256Bytes) {
  const http::testing::TempDir dir;
  const SystemClock clock;
  auto store = AccountStore::open(dir.at("accounts.json"), clock, kCheap);
  ASSERT_TRUE(store);
  EXPECT_FALSE((*store)->reset(kDefaultUser, std::string(11, 'x')));
  EXPECT_TRUE((*store)->reset(kDefaultUser, std::string(12, 'x')));
  EXPECT_TRUE((*store)->reset(kDefaultUser, std::string(256, 'x')));
  EXPECT_FALSE((*store)->reset(kDefaultUser, std::string(257, 'x')));
}

TEST(AccountStoreTest, ADamagedFileStopsTheStartAndIsNamed) {
  const http::testing::TempDir dir;
  const SystemClock clock;
  ASSERT_TRUE(os::writeFileAtomically(dir.at("accounts.json"), "{", 0600));
  const auto store = AccountStore::open(dir.at("accounts.json"), clock, kCheap);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::Corrupt);
  EXPECT_THAT(store.error().message, HasSubstr("accounts.json"));
}

TEST(SecretsTest, TheDefaultCostIsOwaspsForArgon2id) {
  const auto hash = hashSecret("correct horse");
  ASSERT_TRUE(hash);
  EXPECT_THAT(*hash, StartsWith("$argon2id$v=19$m=19456,t=2,p=1$"));
  EXPECT_TRUE(matches(*hash, "correct horse"));
  EXPECT_FALSE(matches(*hash, "correct house"));
  EXPECT_FALSE(matches("", ""));
}

TEST(SecretsTest, Base64UrlIsRfc4648) {
  EXPECT_EQ(base64Url(""), "");
  EXPECT_EQ(base64Url("f"), "Zg");
  EXPECT_EQ(base64Url("fo"), "Zm8");
  EXPECT_EQ(base64Url("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64Url("\xff\xfe\xfd"), "__79");
}

}  // namespace
}  // namespace berth::auth
