#include "auth/sign_in.h"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "auth/account_routes.h"
#include "auth/network_authenticator.h"
#include "auth/sign_in_routes.h"
#include "http/dispatch.h"
#include "http/testing/temp_dir.h"

namespace berth::auth {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
namespace json = boost::json;

constexpr HashCost kCheap{1, 64};
const std::string kSecret = "correct horse";

/// A device with one owner whose secret is known, asked over the network as the server would.
class SignInTest : public ::testing::Test {
 protected:
  SignInTest()
      : store_(*AccountStore::open(dir_.at("accounts.json"), clock_, kCheap)),
        sign_in_(*SignIn::make(*store_, key(), clock_, {}, kCheap)),
        authenticator_(local_, *sign_in_),
        router_(routes()) {
    static_cast<void>(store_->reset(kDefaultUser, kSecret));
  }

  static const TokenKey& key() {
    static const TokenKey kKey = *TokenKey::make();
    return kKey;
  }

  std::vector<http::Route> routes() {
    std::vector<http::Route> all = signInRoutes(*sign_in_, key(), "box");
    for (http::Route& route : accountRoutes(*store_, *sign_in_, "box")) all.push_back(std::move(route));
    for (const http::Role role : {http::Role::Reader, http::Role::Operator, http::Role::Owner}) {
      const http::Handler who = [](const http::ServerRequest& request) -> Result<http::ServerResponse> {
        return http::ServerResponse{200, "text/plain", request.principal.name};
      };
      all.push_back({"GET", "/for/" + std::string(http::name(role)), role, who, ""});
    }
    return all;
  }

  http::ServerResponse ask(const std::string& method, const std::string& path, const std::string& body = "",
                           const std::string& token = "") {
    http::ServerRequest request;
    request.method = method;
    request.id = "id";
    request.correlation_id = "cid";
    request.body = body;
    request.headers = {{"host", "login.box:8443"}};
    if (!token.empty()) request.headers.emplace_back("authorization", "Bearer " + token);
    const auto target = http::parseTarget(path);
    http::Match match = router_.match(method, *target);
    if (match.route == nullptr) return http::unroutedResponse(match, request);
    request.params = std::move(match.params);
    request.query = target->query;
    return http::dispatch(*match.route, authenticator_, http::Peer{std::nullopt, "192.0.2.1:1"}, request);
  }

  http::ServerResponse signInAs(const std::string& user, const std::string& secret) {
    return ask("POST", "/adfs/oauth2/token",
               "grant_type=password&client_id=c&resource=https%3A%2F%2Fmanagement.box%2F&username=" + user +
                   "&password=" + secret);
  }

  static json::value bodyOf(const http::ServerResponse& response) { return json::parse(response.body); }
  static std::string text(const json::value& value) { return std::string(value.as_string()); }
  std::string ownersToken() {
    return text(bodyOf(signInAs(kDefaultUser, "correct+horse")).at("access_token"));
  }

  http::testing::TempDir dir_;
  FakeClock clock_;
  std::unique_ptr<AccountStore> store_;
  std::unique_ptr<SignIn> sign_in_;
  http::PeerCredentialAuthenticator local_{0};
  NetworkAuthenticator authenticator_;
  http::Router router_;
};

TEST_F(SignInTest, APasswordWithAResourceGivesABearerToken) {
  const auto response = signInAs("edgearmuser@localhost", "correct+horse");
  ASSERT_EQ(response.status, 200) << response.body;
  const json::value body = bodyOf(response);
  EXPECT_EQ(body.at("token_type"), "Bearer");
  EXPECT_EQ(body.at("expires_in"), 5400);
  EXPECT_EQ(body.at("resource"), "https://management.box/");
  EXPECT_EQ(ask("GET", "/for/owner", "", text(body.at("access_token"))).body, kDefaultUser);
}

TEST_F(SignInTest, ClientCredentialsWithAScopeGiveATokenForIt) {
  const auto response = ask("POST", "/adfs/oauth2/token",
                            std::string("grant_type=client_credentials&client_secret=correct+horse&scope="
                                        "openid+https%3A%2F%2Fmanagement.box"
                                        "%2F.default&client_id=") +
                                kDefaultClientId);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(bodyOf(response).at("resource"), "https://management.box");
}

TEST_F(SignInTest, WrongSecretsGetAzuresErrors) {
  const auto password = signInAs(kDefaultUser, "wrong");
  EXPECT_EQ(password.status, 400);
  EXPECT_EQ(bodyOf(password).at("error"), "invalid_grant");
  EXPECT_EQ(bodyOf(password).at("error_codes").at(0), 50126);
  EXPECT_THAT(
      text(bodyOf(password).at("error_description")),
      StartsWith("AADSTS50126: Invalid username or password.\r\nTrace ID: id\r\nCorrelation ID: cid"));
  EXPECT_EQ(signInAs("nobody", "wrong").body.substr(0, 30), password.body.substr(0, 30));

  const auto secret =
      ask("POST", "/adfs/oauth2/token", "grant_type=client_credentials&client_id=x&client_secret=y");
  EXPECT_EQ(secret.status, 401);
  EXPECT_EQ(bodyOf(secret).at("error"), "invalid_client");
}

TEST_F(SignInTest, MalformedRequestsAreToldWhatIsMissing) {
  const auto error = [&](const std::string& body) {
    const auto response = ask("POST", "/adfs/oauth2/token", body);
    EXPECT_EQ(response.status, 400) << body;
    return text(bodyOf(response).at("error_description"));
  };
  EXPECT_THAT(error(""),
              HasSubstr("AADSTS900144: The request body must contain the following parameter: 'grant_type'"));
  EXPECT_THAT(error("grant_type=device_code"), HasSubstr("AADSTS70003"));
  EXPECT_THAT(error("grant_type=password&client_id=c&username=u"), HasSubstr("'password'"));
  EXPECT_THAT(error("grant_type=password&password=p&username=u"), HasSubstr("'client_id'"));
  EXPECT_THAT(error("grant_type=%"), HasSubstr("AADSTS9002014"));
  EXPECT_THAT(
      error("grant_type=password&client_id=c&username=u&password=p&resource=" + std::string(513, 'r')),
      HasSubstr("AADSTS500011"));
}

TEST_F(SignInTest, AnotherTenantDoesNotExist) {
  const auto response = ask("POST", "/contoso/oauth2/token", "grant_type=password");
  EXPECT_EQ(response.status, 400);
  EXPECT_THAT(response.body, HasSubstr("AADSTS90056"));
  EXPECT_EQ(ask("GET", "/contoso/.well-known/openid-configuration").status, 400);
  EXPECT_EQ(ask("GET", std::string("/") + kDefaultTenant + "/.well-known/openid-configuration").status, 200);
}

TEST_F(SignInTest, FiveWrongSecretsLockTheAccountEvenForTheRightOne) {
  for (int i = 0; i < kFailuresAllowed; ++i)
    EXPECT_THAT(signInAs(kDefaultUser, "wrong").body, HasSubstr("AADSTS50126"));
  EXPECT_THAT(signInAs(kDefaultUser, "correct+horse").body, HasSubstr("AADSTS50053"));
  clock_.advance(kFirstLock);
  EXPECT_EQ(signInAs(kDefaultUser, "correct+horse").status, 200);
}

TEST_F(SignInTest, TokensEndWithTheirLifetime) {
  const std::string token = ownersToken();
  clock_.advance(kDefaultLifetime - std::chrono::seconds(1));
  EXPECT_EQ(ask("GET", "/for/reader", "", token).status, 200);
  clock_.advance(std::chrono::seconds(1));
  const auto response = ask("GET", "/for/reader", "", token);
  EXPECT_EQ(response.status, 401);
  EXPECT_THAT(response.body, HasSubstr("ExpiredAuthenticationToken"));
}

TEST_F(SignInTest, ForgedTokensAndNoneAre401) {
  const auto other = TokenKey::make();
  ASSERT_TRUE(other);
  const Account owner = *store_->book()->find(kDefaultUser);
  const auto forged = other->sign({owner.name, owner.client_id, owner.generation, "", "", "",
                                   clock_.wallTime(), clock_.wallTime() + std::chrono::hours(1)});
  ASSERT_TRUE(forged);
  for (const std::string& token : {*forged, std::string("x"), std::string()}) {
    const auto response = ask("GET", "/for/reader", "", token);
    EXPECT_EQ(response.status, 401);
    EXPECT_THAT(response.headers,
                ::testing::Contains(::testing::Pair("www-authenticate", StartsWith("Bearer"))));
  }
}

TEST_F(SignInTest, EveryRoleMayDoWhatIsItsOwnAndBelow) {
  const std::vector<std::string> roles{"reader", "operator", "owner"};
  for (std::size_t i = 0; i < roles.size(); ++i) {
    const auto made = ask("POST", "/api/v1/tokens",
                          R"({"name": "n)" + roles[i] + R"(", "role": ")" + roles[i] + "\"}", ownersToken());
    ASSERT_EQ(made.status, 201) << made.body;
    const std::string token = text(bodyOf(made).at("token"));
    for (std::size_t j = 0; j < roles.size(); ++j) {
      EXPECT_EQ(ask("GET", "/for/" + roles[j], "", token).status, j <= i ? 200 : 403)
          << roles[i] << " " << roles[j];
    }
    EXPECT_EQ(ask("GET", "/api/v1/tokens", "", token).status, roles[i] == "owner" ? 200 : 403);
  }
}

TEST_F(SignInTest, ANewSecretAndRevokingVoidTokensAtOnce) {
  const std::string owner = ownersToken();
  const auto made = bodyOf(ask("POST", "/api/v1/tokens", R"({"name": "ci", "role": "reader"})", owner));
  const std::string first = text(made.at("token"));
  EXPECT_EQ(ask("GET", "/for/reader", "", first).status, 200);

  const auto reset = bodyOf(ask("POST", "/api/v1/tokens/ci/reset", "", owner));
  EXPECT_NE(reset.at("secret"), made.at("secret"));
  EXPECT_EQ(ask("GET", "/for/reader", "", first).status, 401);
  const std::string second = text(reset.at("token"));
  EXPECT_EQ(ask("GET", "/for/reader", "", second).status, 200);

  EXPECT_EQ(ask("DELETE", "/api/v1/tokens/ci", "", owner).status, 200);
  EXPECT_EQ(ask("GET", "/for/reader", "", second).status, 401);
  // Who takes the name later does not take the tokens over.
  EXPECT_EQ(ask("POST", "/api/v1/tokens", R"({"name": "ci"})", owner).status, 201);
  EXPECT_EQ(ask("GET", "/for/reader", "", first).status, 401);
}

TEST_F(SignInTest, AnAccountWithoutASecretLetsNobodyIn) {
  ASSERT_TRUE(store_->revoke(kDefaultUser));
  EXPECT_EQ(signInAs(kDefaultUser, "correct+horse").status, 400);
}

TEST_F(SignInTest, BadAccountsAreRefusedWhole) {
  const std::string owner = ownersToken();
  for (const char* body :
       {"{", "[]", "{}", R"({"name": 1})", R"({"name": "a b"})", R"({"name": "a", "role": "king"})",
        R"({"name": "a", "secret": "short"})", R"({"name": "a", "lifetimeSeconds": 0})",
        R"({"name": "a", "lifetimeSeconds": "1"})"}) {
    EXPECT_EQ(ask("POST", "/api/v1/tokens", body, owner).status, 400) << body;
  }
  EXPECT_EQ(bodyOf(ask("GET", "/api/v1/tokens", "", owner)).as_array().size(), 1U);
  EXPECT_EQ(ask("DELETE", "/api/v1/tokens/nobody", "", owner).status, 404);
}

TEST_F(SignInTest, DiscoveryLeadsToTheTokenAndTheKeys) {
  const auto config = bodyOf(ask("GET", "/adfs/.well-known/openid-configuration"));
  EXPECT_EQ(config.at("issuer"), "https://login.box:8443/adfs");
  EXPECT_EQ(config.at("token_endpoint"), "https://login.box:8443/adfs/oauth2/token");
  EXPECT_EQ(config.at("jwks_uri"), "https://login.box:8443/adfs/discovery/keys");
  EXPECT_EQ(bodyOf(ask("GET", "/adfs/discovery/keys")).at("keys").at(0).at("alg"), "RS256");
  EXPECT_EQ(ask("GET", "/metadata/endpoints?api-version=2015-01-01").status, 200);
  EXPECT_THAT(ask("GET", "/metadata/endpoints").body, HasSubstr("MissingApiVersionParameter"));
}

TEST_F(SignInTest, OnTheUnixSocketTheKernelsWordIsEnough) {
  const http::Peer root{http::PeerCredentials{1, 0, 0}, {}};
  EXPECT_EQ(authenticator_.authenticate(root, {})->role, http::Role::Owner);
}

}  // namespace
}  // namespace berth::auth
